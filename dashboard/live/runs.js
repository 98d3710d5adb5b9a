// The list of runs: a queue, then a table that ticks, is sorted, filtered, folded and acted on.

import { Actions, MOST_COMPARED, Toast } from "./list/actions.js"
import { Choice } from "./list/choice.js"
import { Columns } from "./list/columns.js"
import { csvOf } from "./list/csv.js"
import { matcher } from "./list/filters.js"
import { groupOf, groupsOf, rowsOf } from "./list/grouping.js"
import { fillColumns, fillFilters, menu } from "./list/menus.js"
import { QueuePanel } from "./list/queue_panel.js"
import { RunRow } from "./list/run_row.js"
import { gridOf, TableHead } from "./list/table_head.js"
import { Thumbnails } from "./list/thumbnails.js"
import { Views } from "./list/views.js"
import { VirtualRows } from "./list/virtual.js"
import { inField, make, rootOf, segments, whenReleased } from "./parts/dom.js"
import { save } from "./parts/figures/export.js"
import { count } from "./parts/formatting.js"
import { Notices } from "./parts/notices.js"
import { Live } from "./stream/socket.js"

const ROW_HEIGHT = 56
const KEYS = [
  ["/", "search"],
  ["C", "compare the selected runs"],
  ["A", "select all, or none"],
  ["Shift click", "select from the one before"],
  ["Esc", "clear the selection"],
  ["?", "this list"],
]

export function mount(slot, component) {
  const list = new RunList(slot, component)
  return { update: (data, next) => list.update(data, next), unmount: () => list.close() }
}

class RunList {
  constructor(slot, component) {
    this.component = component
    this.settings = component.data
    this.known = new Map()
    this.queue = []
    this.rows = []
    this.elements = new Map()
    this.opened = new Set()
    this.selected = new Set()
    this.matching = []
    this.columns = new Columns(this.settings.figures)
    const { root, unwatch } = rootOf(slot, () => this.thumbnails.repaint())
    Object.assign(this, { root, unwatch })
    this.drawNews = whenReleased(root, () => this.draw())
    this.choice = new Choice(window.location.search)
    this.build()
    this.live = new Live(this.settings.token, {
      message: (message) => this.hear(message),
      connection: (state) => this.notices.connection(state),
    })
    this.thumbnails.live = this.live
    this.live.follow("runs")
    this.pressed = (event) => this.press(event)
    document.addEventListener("keydown", this.pressed)
    this.notice(this.settings.notice)
  }

  get runs() {
    return [...this.known.values()]
  }

  update(data, component) {
    this.component = component
    this.live.token = data.token
    this.notice(data.notice)
  }

  close() {
    this.live.close()
    this.notices.close()
    this.virtual.close()
    this.toast.close()
    this.unwatch()
    document.removeEventListener("keydown", this.pressed)
  }

  // ------------------------------------------------------------------ what is chosen

  query() {
    return this.choice.query()
  }

  open(query) {
    this.choice = new Choice(query)
    this.search.value = this.choice.search
    this.folding.show(this.choice.fold ? "group" : "nothing")
    this.changed()
  }

  /** How many runs a saved view has. */
  number(query) {
    return count(this.runs.filter(matcher(new Choice(query))).length)
  }

  changed() {
    this.choice.keep()
    this.draw()
  }

  // ------------------------------------------------------------------ the page

  build() {
    this.search = make("input", { type: "search", placeholder: "name, method, tag, note   /" })
    this.search.setAttribute("aria-label", "Search runs")
    this.search.value = this.choice.search
    this.search.oninput = () => {
      this.choice.search = this.search.value
      this.changed()
    }
    this.notices = new Notices()
    this.keys = make(
      "div.bl-note.info.bl-keys",
      { hidden: true },
      ...KEYS.map(([key, word]) => make("span", {}, make("kbd", {}, key), ` ${word}`)),
    )
    const act = (...given) => this.act(...given)
    this.panel = new QueuePanel(act)
    this.views = new Views(this)
    this.chips = make("span.bl-chips.bl-filters")
    this.filterMenu = menu("+ filter", (panel) => fillFilters(panel, this))
    this.columnMenu = menu("Columns", (panel) => fillColumns(panel, this), "button.bl-button")
    this.summary = make("span.bl-muted")
    const folds = { group: "sweeps and seeds", nothing: "nothing" }
    this.folding = segments(
      folds,
      this.choice.fold ? "group" : "nothing",
      (value) => {
        this.choice.fold = value === "group"
        this.changed()
      },
      "Fold",
    )
    const exportButton = make("button.bl-quiet", { type: "button", textContent: "Export" })
    exportButton.onclick = () => this.save(this.matching)
    this.trash = make("button.bl-quiet", { type: "button", hidden: true })
    this.trash.onclick = () => this.act("trash", [])
    this.actions = new Actions({
      act,
      compare: () => this.compare(),
      save: (runs) => this.save(runs),
      clear: () => this.clear(),
    })
    this.toast = new Toast()
    this.virtual = new VirtualRows(ROW_HEIGHT, (first, last) => this.drawRows(first, last))
    this.thumbnails = new Thumbnails(this.root, (run) => this.rowOfPicture(run))
    this.head = new TableHead({
      sort: (key, descending) => {
        Object.assign(this.choice, { sorted: key, descending })
        this.changed()
      },
      all: (on) => this.selectAll(on),
    })
    this.table = make(
      "div.bl-table",
      { role: "table", "aria-label": "Runs" },
      this.head.slot,
      this.virtual.body,
    )
    this.empty = make("div.bl-empty", { hidden: true })
    this.lay(exportButton)
  }

  /** Put the parts of the page in their places. */
  lay(exportButton) {
    const word = make("span.bl-muted", {}, "fold")
    const right = [word, this.folding, this.columnMenu, exportButton]
    this.root.append(
      this.notices.slot,
      this.keys,
      this.panel.slot,
      make("div.bl-row.bl-views-row", {}, this.views.slot, make("span.bl-right", {}, this.search)),
      make(
        "div.bl-row.bl-tools",
        {},
        this.chips,
        this.filterMenu,
        this.summary,
        make("span.bl-right.bl-row", {}, ...right),
      ),
      this.table,
      this.empty,
      this.trash,
      this.actions.bar,
      this.toast.slot,
    )
  }

  press(event) {
    if (inField(event) || !this.root.isConnected) return
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key
    const acts = {
      "/": () => this.search.focus(),
      c: () => this.selected.size && this.compare(),
      a: () => this.selectAll(this.selected.size < this.matching.length),
      "?": () => (this.keys.hidden = !this.keys.hidden),
      Escape: () => this.clear(),
    }
    if (!acts[key]) return
    if (key !== "Escape") event.preventDefault()
    acts[key]()
  }

  hear(message) {
    if (message.op === "error") this.notices.showTrouble(message.message)
    if (message.op !== "runs") return
    this.notices.showTrouble(message.trouble)
    if (message.whole) this.known.clear()
    for (const run of message.changed) {
      this.known.set(run.id, run)
      this.columns.learn(run)
    }
    for (const id of message.gone) {
      this.known.delete(id)
      this.selected.delete(id)
    }
    this.queue = message.queue
    this.workers = message.workers
    this.trash.hidden = !message.deleted
    this.trash.textContent =
      message.deleted === 1
        ? "1 deleted run can be restored"
        : `${message.deleted} deleted runs can be restored`
    this.drawNews()
    this.filterMenu.again()
  }

  // ------------------------------------------------------------------ what is shown

  draw() {
    const { runs } = this
    this.matching = runs.filter(matcher(this.choice))
    const shown = this.choice.columns.map((key) => this.columns.get(key)).filter(Boolean)
    const column = this.columns.get(this.choice.sorted) ?? null
    this.rows = rowsOf(this.matching, {
      fold: this.choice.fold,
      opened: this.opened,
      column,
      descending: this.choice.descending,
      figures: this.settings.figures,
    })
    this.groups = groupsOf(this.matching)
    this.context = {
      key: shown.map(({ key, title }) => key + title).join(),
      columns: shown,
      figures: this.settings.figures,
      selected: this.selected,
      place: (run) => this.queue.indexOf(run.id),
      group: (run) => (groupOf(run) ? this.groups.get(groupOf(run)) : [run]),
    }
    this.head.draw(shown, this.choice.sorted, this.choice.descending)
    this.head.select(this.matching, this.selected)
    const grid = gridOf(shown)
    this.table.style.setProperty("--columns", grid.template)
    this.table.style.setProperty("--least", grid.least)
    this.table.setAttribute("aria-rowcount", this.rows.length + 1)
    this.panel.draw({ runs, queue: this.queue, workers: this.workers })
    this.views.draw()
    this.drawChips()
    this.columnMenu.label(`Columns ${shown.length} of ${this.columns.all.size}`)
    const number =
      this.rows.length === this.matching.length ? "" : ` in ${count(this.rows.length)} rows`
    this.summary.textContent = `${count(this.matching.length)} of ${count(runs.length)} runs${number}`
    this.sayEmpty()
    this.virtual.setNumber(this.rows.length)
    this.actions.draw(this.selectedRuns())
  }

  drawRows(first, last) {
    const on = {
      select: (row, isOn, isRange) => this.select(row, isOn, isRange),
      open: (row) => this.toggle(row),
    }
    const visible = this.rows.slice(first, last)
    const ids = new Set(visible.map((row) => row.id))
    for (const id of this.elements.keys()) if (!ids.has(id)) this.elements.delete(id)
    const places = visible.map((row, index) => {
      if (!this.elements.has(row.id)) this.elements.set(row.id, new RunRow(on))
      const element = this.elements.get(row.id)
      element.fill(row, this.context)
      return [first + index, element.element]
    })
    this.virtual.put(places)
    this.thumbnails.want(
      visible.map((row) => this.known.get(this.elements.get(row.id).pictured)).filter(Boolean),
    )
  }

  rowOfPicture(id) {
    return [...this.elements.values()].filter((row) => row.pictured === id)
  }

  drawChips() {
    const chosen = Object.entries(this.choice.filters).filter(([, values]) => values.size)
    const key = JSON.stringify(chosen.map(([name, values]) => [name, ...values]))
    if (key === this.chipKey) return
    this.chipKey = key
    this.chips.replaceChildren(
      ...chosen.map(([name, values]) => {
        const words = name === "look" ? "needs a look" : `${name}: ${[...values].join(", ")}`
        const chip = make("button.bl-chip", { type: "button", textContent: `${words} ✕` })
        chip.setAttribute("aria-label", `Remove the filter ${words}`)
        chip.onclick = () => {
          values.clear()
          this.changed()
        }
        return chip
      }),
    )
  }

  sayEmpty() {
    const number = this.matching.length
    this.empty.hidden = number > 0
    this.table.hidden = !number
    if (number) return
    const link = make("a", { href: "launch", textContent: "Launch a first run" })
    this.empty.replaceChildren(
      ...(this.known.size
        ? ["No run fits the search and the filters."]
        : [
            "No runs yet. A first run on the ring of eight Gaussians takes about a minute here. ",
            link,
          ]),
    )
  }

  toggle(row) {
    if (row.opened) this.opened.delete(row.id)
    else this.opened.add(row.id)
    this.draw()
  }

  // ------------------------------------------------------------------ selecting and acting

  selectedRuns() {
    return [...this.selected].map((id) => this.known.get(id)).filter(Boolean)
  }

  select(row, on, range) {
    const rows = range && this.lastSelected ? this.between(this.lastSelected, row.id) : [row]
    for (const { id } of rows.flatMap((one) => one.runs)) {
      if (on) this.selected.add(id)
      else this.selected.delete(id)
    }
    this.lastSelected = row.id
    this.draw()
  }

  between(first, second) {
    const place = (id) => this.rows.findIndex((row) => row.id === id)
    const [a, b] = [place(first), place(second)]
    return a < 0 || b < 0 ? [this.rows[b]] : this.rows.slice(Math.min(a, b), Math.max(a, b) + 1)
  }

  selectAll(on) {
    for (const run of this.matching) {
      if (on) this.selected.add(run.id)
      else this.selected.delete(run.id)
    }
    this.draw()
  }

  clear() {
    this.selected.clear()
    this.draw()
  }

  compare() {
    const ids = [...this.selected].slice(0, MOST_COMPARED)
    window.location.assign(`compare?runs=${ids.join(",")}`)
  }

  save(runs) {
    save("runs.csv", csvOf(runs, this.context.columns), "text/csv")
  }

  act(act, runs, more = {}) {
    this.component.setTriggerValue("act", { act, runs, ...more })
  }

  /** What an act came to, said by the page script. */
  notice(notice) {
    if (!notice || notice.number === this.noticed) return
    this.noticed = notice.number
    const undo = notice.undo?.length ? [["Undo", () => this.act("restore", notice.undo)]] : []
    this.toast.show(notice.words, undo)
  }
}
