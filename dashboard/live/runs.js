// The list of runs: running, then queued, then newest; ticking, filtered, acted on.

import { coloursOf } from "./parts/colours.js"
import { fromAddress, inField, keepInAddress, make, rootOf } from "./parts/dom.js"
import { Notices } from "./parts/notices.js"
import { isResumable, STATUSES } from "./parts/vocabulary.js"
import { Live } from "./stream/socket.js"
import { nameOf } from "./parts/status.js"
import { RunRow } from "./pictures/run_row.js"

const THUMBNAILS = ["landscape/model", "samples/long_run", "samples/train_time"]
const PAGE = 60
const FILTERS = ["status", "method", "data", "tag"]

export function mount(slot, component) {
  const list = new RunList(slot, component)
  return { update: (data, next) => list.update(data, next), unmount: () => list.close() }
}

class RunList {
  constructor(slot, component) {
    this.component = component
    this.settings = component.data
    this.runs = []
    this.queue = []
    this.rows = new Map()
    this.selected = new Set()
    this.pictures = new Map()
    this.wanted = []
    this.limit = PAGE
    const { root, unwatch } = rootOf(slot, () => this.repaint())
    Object.assign(this, { root, unwatch })
    this.build()
    this.live = new Live(this.settings.token, {
      message: (message) => this.hear(message),
      connection: (state) => this.notices.connection(state),
    })
    this.live.follow("runs")
    this.pressed = (event) => this.press(event)
    document.addEventListener("keydown", this.pressed)
  }

  update(data, component) {
    this.component = component
    this.live.token = data.token
  }

  close() {
    this.live.close()
    this.notices.close()
    this.unwatch()
    document.removeEventListener("keydown", this.pressed)
  }

  build() {
    this.search = make("input", { type: "search", placeholder: "Search  /" })
    this.search.setAttribute("aria-label", "Search runs")
    this.search.value = fromAddress("search") ?? ""
    this.search.oninput = () => {
      keepInAddress("search", this.search.value || null)
      this.draw()
    }
    this.filters = {}
    const boxes = FILTERS.map((name) => {
      const box = make("select", { "aria-label": name })
      box.onchange = () => {
        keepInAddress(name, box.value || null)
        this.draw()
      }
      this.filters[name] = box
      return box
    })
    this.summary = make("span.bl-muted.bl-right")
    this.notices = new Notices()
    this.bar = make("div.bl-actions", { hidden: true })
    this.body = make("div.bl-runs", { role: "list" })
    this.empty = make("div.bl-empty", { hidden: true })
    this.more = make("button.bl-chip", { type: "button", hidden: true, textContent: "Show more" })
    this.more.onclick = () => {
      this.limit += PAGE
      this.draw()
    }
    this.root.append(
      make("div.bl-row", {}, this.search, ...boxes, this.summary),
      this.notices.slot,
      this.bar,
      this.body,
      this.empty,
      this.more,
    )
  }

  press(event) {
    if (inField(event) || !this.root.isConnected) return
    if (event.key === "/") {
      event.preventDefault()
      this.search.focus()
    }
    if (event.key.toLowerCase() === "c" && this.selected.size) this.compare()
  }

  compare() {
    window.location.assign(`compare?runs=${[...this.selected].join(",")}`)
  }

  hear(message) {
    if (message.op === "error") this.notices.showTrouble(message.message)
    if (message.op !== "runs") return
    this.notices.showTrouble(message.trouble)
    const known = new Map(message.whole ? [] : this.runs.map((run) => [run.id, run]))
    for (const run of message.changed) known.set(run.id, run)
    for (const id of message.gone) known.delete(id)
    this.runs = [...known.values()]
    this.queue = message.queue
    this.draw()
  }

  // ------------------------------------------------------------------ what is shown

  order(run) {
    const rank = { running: 0, queued: 1 }[run.status] ?? 2
    const place = rank === 1 ? this.queue.indexOf(run.id) : -run.created
    return [rank, place]
  }

  values(run, name) {
    return name === "tag" ? run.tags : [run[name]]
  }

  matches(run) {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean)
    const text = [
      nameOf(run),
      run.id,
      run.method,
      run.preset,
      run.data,
      run.status,
      run.note,
      `seed ${run.seed}`,
      ...run.tags,
    ]
      .join(" ")
      .toLowerCase()
    return (
      words.every((word) => text.includes(word)) &&
      FILTERS.every((name) => {
        const wanted = this.filters[name].value || (this.filled ? "" : fromAddress(name))
        return !wanted || this.values(run, name).includes(wanted)
      })
    )
  }

  /** Each filter with how many runs each choice has. */
  fillFilters() {
    for (const name of FILTERS) {
      const counts = new Map()
      for (const run of this.runs) {
        for (const value of this.values(run, name)) counts.set(value, (counts.get(value) ?? 0) + 1)
      }
      const box = this.filters[name]
      const key = JSON.stringify([...counts])
      box.hidden = counts.size === 0
      if (key === box.dataset.key) continue
      const chosen = this.filled ? box.value : (fromAddress(name) ?? "")
      box.dataset.key = key
      const options = [...counts]
        .sort()
        .map(([value, number]) => make("option", { value, textContent: `${value} (${number})` }))
      box.replaceChildren(make("option", { value: "", textContent: `any ${name}` }), ...options)
      box.value = counts.has(chosen) ? chosen : ""
    }
    this.filled = true
  }

  draw() {
    this.fillFilters()
    const matching = this.runs
      .filter((run) => this.matches(run))
      .sort((a, b) => {
        const [p, q] = [this.order(a), this.order(b)]
        return p[0] - q[0] || p[1] - q[1]
      })
    const known = new Set(this.runs.map((run) => run.id))
    for (const id of this.selected) if (!known.has(id)) this.selected.delete(id)
    const visible = matching.slice(0, this.limit)
    const ids = visible.map((run) => run.id)
    for (const [id, row] of this.rows) {
      if (!ids.includes(id)) {
        row.element.remove()
        this.rows.delete(id)
      }
    }
    const select = (id, on, isRange) => this.select(id, on, isRange)
    visible.forEach((run, index) => {
      if (!this.rows.has(run.id)) this.rows.set(run.id, new RunRow(run, select))
      const row = this.rows.get(run.id)
      if (row.status !== run.status) this.want(run)
      row.fill(run, this.queue.indexOf(run.id), this.settings.figures)
      row.box.checked = this.selected.has(run.id)
      if (this.body.children[index] !== row.element) {
        this.body.insertBefore(row.element, this.body.children[index] ?? null)
      }
    })
    this.visible = ids
    this.more.hidden = matching.length <= this.limit
    const running = this.runs.filter((run) => run.status === "running").length
    const queued = this.runs.filter((run) => run.status === "queued").length
    this.summary.textContent = `${matching.length} of ${this.runs.length} runs · ${running} running · ${queued} queued`
    this.sayEmpty(matching.length)
    this.drawBar()
  }

  sayEmpty(number) {
    this.empty.hidden = number > 0
    if (number) return
    const link = make("a", { href: "launch", textContent: "Launch a first run" })
    this.empty.replaceChildren(
      ...(this.runs.length
        ? ["No run fits the search and the filters."]
        : [
            "No runs yet. A first run on the ring of eight Gaussians takes about a minute here. ",
            link,
          ]),
    )
  }

  // ------------------------------------------------------------------ thumbnails, one at a time

  want(run) {
    this.wanted = this.wanted.filter((id) => id !== run.id)
    this.wanted.push(run.id)
    if (!this.asking) this.fetchPictures()
  }

  async fetchPictures() {
    this.asking = true
    while (this.wanted.length) {
      const run = this.wanted.shift()
      const frames = await this.live.seek(run, 2 ** 50, THUMBNAILS)
      for (const path of THUMBNAILS) {
        const frame = frames?.find(({ header }) => header.path === path)
        if (!frame) continue
        this.pictures.set(run, frame)
        this.paint(run)
        break
      }
    }
    this.asking = false
  }

  paint(id) {
    const frame = this.pictures.get(id)
    if (frame) this.rows.get(id)?.paint(frame, coloursOf(this.root))
  }

  repaint() {
    for (const id of this.pictures.keys()) this.paint(id)
  }

  // ------------------------------------------------------------------ acting

  select(id, on, range) {
    const ids = range && this.lastSelected ? this.between(this.lastSelected, id) : [id]
    for (const one of ids) {
      if (on) this.selected.add(one)
      else this.selected.delete(one)
    }
    this.lastSelected = id
    this.draw()
  }

  between(first, second) {
    const [a, b] = [this.visible.indexOf(first), this.visible.indexOf(second)]
    return a < 0 || b < 0 ? [second] : this.visible.slice(Math.min(a, b), Math.max(a, b) + 1)
  }

  act(act, runs = [...this.selected]) {
    this.component.setTriggerValue("act", { act, runs })
  }

  drawBar() {
    const runs = this.runs.filter((run) => this.selected.has(run.id))
    this.bar.hidden = !runs.length
    const key = JSON.stringify(runs.map((run) => [run.id, run.status]))
    if (key === this.barKey) return
    this.barKey = key
    const some = (...words) => runs.filter((run) => words.includes(run.status)).map((run) => run.id)
    const buttons = []
    const add = (word, ids, press, kind = "") => {
      if (!ids.length) return
      const label = ids.length < runs.length ? `${word} ${ids.length}` : word
      const button = make(`button.bl-button${kind}`, { type: "button", textContent: label })
      button.onclick = press
      buttons.push(button)
    }
    const ids = runs.map((run) => run.id)
    add("Compare", ids, () => this.compare(), ".primary")
    add("Pause", some("running"), () => this.act("pause", some("running")))
    add("Stop", some("running", "queued", "paused"), () =>
      this.act("stop", some("running", "queued", "paused")),
    )
    const idle = some(...Object.keys(STATUSES).filter(isResumable))
    add("Resume", idle, () => this.act("resume", idle))
    const waiting = some("queued")
    if (waiting.length === 1) {
      add("Sooner", waiting, () => this.act("sooner", waiting))
      add("Later", waiting, () => this.act("later", waiting))
    }
    add("Clone", runs.length === 1 ? ids : [], () =>
      window.location.assign(`launch?from=${ids[0]}`),
    )
    add("Name, tags, note", ids, () => this.act("edit"))
    const over = runs.filter((run) => run.status !== "running").map((run) => run.id)
    add("Delete", over, () => this.act("delete", over))
    const clear = make("button.bl-quiet", { type: "button", textContent: "Clear" })
    clear.onclick = () => {
      this.selected.clear()
      this.draw()
    }
    this.bar.replaceChildren(make("span", {}, `${runs.length} selected`), ...buttons, clear)
  }
}
