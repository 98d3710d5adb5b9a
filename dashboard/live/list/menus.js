// Menus of the list: what opens under a button and is closed by Escape or a click elsewhere.

import { make } from "../parts/dom.js"
import { DEFAULT } from "./columns.js"
import { counted, FILTERS } from "./filters.js"

/** A button with a panel under it. `fill(panel)` writes the panel whenever it opens. */
export function menu(label, fill, kind = "button.bl-chip") {
  const button = make(kind, { type: "button", textContent: label })
  const panel = make("div.bl-menu", { hidden: true })
  const slot = make("span.bl-menu-slot", {}, button, panel)
  button.setAttribute("aria-expanded", "false")
  const show = (on) => {
    panel.hidden = !on
    button.setAttribute("aria-expanded", String(on))
    if (on) fill(panel)
    const change = on ? "addEventListener" : "removeEventListener"
    document[change]("pointerdown", away)
    if (on) panel.querySelector("input, button")?.focus()
  }
  const away = (event) => slot.contains(event.target) || show(false)
  button.onclick = () => show(panel.hidden)
  slot.onkeydown = (event) => {
    if (event.key !== "Escape" || panel.hidden) return
    event.stopPropagation()
    show(false)
    button.focus()
  }
  slot.again = () => panel.hidden || fill(panel)
  slot.close = () => show(false)
  slot.label = (text) => (button.textContent = text)
  return slot
}

/** A box with a word and, muted, a number. */
export function tick(word, isOn, onTick, number = null) {
  const box = make("input", { type: "checkbox", checked: isOn })
  box.onchange = () => onTick(box.checked)
  const count = number === null ? [] : [make("span.bl-muted", {}, ` ${number}`)]
  return make("label.bl-tick", {}, box, make("span", {}, word, ...count))
}

/** The panel where filters are chosen. `list`: {runs, choice, changed()}. */
export function fillFilters(panel, list) {
  const parts = Object.keys(FILTERS).flatMap((name) => {
    const values = counted(list.runs, name)
    const chosen = list.choice.filters[name] ?? new Set()
    for (const value of chosen) if (!values.some(([one]) => one === value)) values.push([value, 0])
    if (!values.length || name === "look") return []
    const boxes = values.slice(0, 40).map(([value, number]) =>
      tick(
        value,
        chosen.has(value),
        (on) => {
          list.choice.filters[name] ??= new Set()
          if (on) list.choice.filters[name].add(value)
          else list.choice.filters[name].delete(value)
          list.changed()
        },
        number,
      ),
    )
    return [make("fieldset", {}, make("legend", {}, name), ...boxes)]
  })
  panel.classList.add("bl-filter-menu")
  panel.replaceChildren(...parts)
}

const KINDS = { figure: "Figures", setting: "Settings", cost: "Costs", about: "About" }

/** The panel where columns are chosen. `list`: {columns, choice, matching, changed()}. */
export function fillColumns(panel, list) {
  const search = make("input", { type: "search", placeholder: "Search columns" })
  search.setAttribute("aria-label", "Search columns")
  const lists = make("div.bl-column-lists")
  const draw = () => {
    const word = search.value.toLowerCase()
    lists.replaceChildren(
      ...Object.entries(KINDS).map(([kind, title]) => {
        const columns = list.columns
          .of(kind)
          .filter((column) => nameOf(column).toLowerCase().includes(word))
        const boxes = columns.map((column) =>
          tick(nameOf(column), list.choice.columns.includes(column.key), (on) => {
            list.choice.columns = on
              ? [...list.choice.columns, column.key]
              : list.choice.columns.filter((key) => key !== column.key)
            list.changed()
          }),
        )
        return make("fieldset", {}, make("legend", {}, title), ...boxes)
      }),
    )
  }
  search.oninput = draw
  const differing = list.columns.differing(list.matching)
  const about = make(
    "span.bl-muted",
    {},
    `Settings that differ among these runs: ${differing.length}`,
  )
  const show = make("button.bl-quiet", { type: "button", textContent: "show them" })
  show.onclick = () => {
    list.choice.columns = [...new Set([...list.choice.columns, ...differing.slice(0, 12)])]
    list.changed()
    draw()
  }
  const back = make("button.bl-quiet", { type: "button", textContent: "as at first" })
  back.onclick = () => {
    list.choice.columns = [...DEFAULT]
    list.changed()
    draw()
  }
  panel.classList.add("bl-column-menu")
  panel.replaceChildren(
    search,
    lists,
    make("footer", {}, about, differing.length ? show : "", back),
  )
  draw()
}

const nameOf = (column) => column.name ?? [column.title, column.unit].filter(Boolean).join(", ")
