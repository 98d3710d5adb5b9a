// Saved views: what the address says of search, filters, columns and order, under a name; kept in
// this browser.

import { make } from "../parts/dom.js"

const PLACE = "basin:views"

export function savedViews() {
  try {
    const views = JSON.parse(localStorage.getItem(PLACE) ?? "[]")
    return Array.isArray(views)
      ? views.filter((view) => view?.name && typeof view.query === "string")
      : []
  } catch {
    return []
  }
}

function keep(views) {
  try {
    localStorage.setItem(PLACE, JSON.stringify(views))
  } catch {
    // a browser that keeps nothing: the address still holds the view
  }
}

/** Two addresses that show the same. */
export function sameQuery(a, b) {
  const sorted = (query) => {
    const parameters = new URLSearchParams(query)
    parameters.sort()
    return parameters.toString()
  }
  return sorted(a) === sorted(b)
}

export class Views {
  /** `query()`: the present one; `open(query)`; `number(query)`: how many runs it has. */
  constructor(list) {
    this.list = list
    this.slot = make("div.bl-views", { role: "group", "aria-label": "Views" })
  }

  draw() {
    const query = this.list.query()
    const views = savedViews()
    const all = [{ name: "All", query: "" }, ...views]
    const key = JSON.stringify([
      query,
      all.map((view) => [view.name, this.list.number(view.query)]),
    ])
    if (key === this.key || this.naming) return
    this.key = key
    const isSaved = all.some((view) => sameQuery(view.query, query))
    const save = make("button.bl-quiet", { type: "button", textContent: "+ save this view" })
    save.onclick = () => this.name(query)
    this.slot.replaceChildren(
      ...all.flatMap((view, place) => this.tab(view, place, sameQuery(view.query, query))),
      isSaved ? "" : save,
    )
  }

  tab(view, place, isCurrent) {
    const number = make("span.bl-muted", {}, ` ${this.list.number(view.query)}`)
    const tab = make("button.bl-view", { type: "button" }, view.name, number)
    tab.setAttribute("aria-pressed", String(isCurrent))
    tab.onclick = () => this.list.open(view.query)
    if (!place || !isCurrent) return [tab]
    const remove = make("button.bl-quiet", { type: "button", textContent: "✕" })
    remove.setAttribute("aria-label", `Forget the view ${view.name}`)
    remove.onclick = () => {
      keep(savedViews().filter((one) => one.name !== view.name))
      this.draw()
    }
    return [tab, remove]
  }

  name(query) {
    this.naming = true
    const field = make("input", { type: "text", placeholder: "Name of this view", maxLength: 40 })
    field.setAttribute("aria-label", "Name of this view")
    const end = (isKept) => {
      if (!this.naming) return
      this.naming = false
      const name = field.value.trim()
      if (isKept && name) {
        keep([...savedViews().filter((view) => view.name !== name), { name, query }])
      }
      this.key = null
      this.draw()
    }
    field.onkeydown = (event) => {
      event.stopPropagation()
      if (event.key === "Enter") end(true)
      if (event.key === "Escape") end(false)
    }
    field.onblur = () => end(true)
    this.slot.lastElementChild.replaceWith(field)
    field.focus()
  }
}
