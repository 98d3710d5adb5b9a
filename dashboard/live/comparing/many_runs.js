// Several runs on one page, in groups that differ in their seed alone: what each of them says, as
// it comes. The pages that show them extend this.

import { coloursOf } from "../parts/colours.js"
import { make, rootOf } from "../parts/dom.js"
import { belongsElsewhere } from "../parts/keys.js"
import { Notices } from "../parts/notices.js"
import { COSTS, Curves } from "../stream/curves.js"
import { Live } from "../stream/socket.js"

const PICTURES_EVERY = 150

export class ManyRuns {
  /**
   * `data.groups`: [{title, runs: [ids]}]. A page has `build()` (it sets `board` and `painter`),
   * `reset()` when its groups have changed, `named()` when a status has; and may have `hearText(run,
   * header)` for texts and `heard(message)`.
   */
  constructor(slot, component) {
    const { root, unwatch } = rootOf(slot, () => this.recolour())
    Object.assign(this, { root, unwatch, component, data: component.data })
    this.curves = new Map()
    this.frames = new Map()
    this.statuses = new Map()
    this.synced = new Set()
    this.notices = new Notices()
    this.build()
    this.setUp()
    this.live = new Live(this.data.token, {
      message: (message) => this.hear(message),
      frame: (frame) => this.take(frame),
      done: () => this.show(),
      connection: (state) => this.notices.connection(state),
    })
    this.live.watch(this.ids())
    this.live.follow("alarms")
    this.sizes = new ResizeObserver(() => this.painter.ask())
    this.sizes.observe(this.root)
    this.pressed = (event) => this.press(event)
    document.addEventListener("keydown", this.pressed)
  }

  close() {
    this.live.close()
    this.unwatch()
    this.notices.close()
    clearTimeout(this.later)
    this.painter.close()
    this.board.close()
    this.sizes.disconnect()
    document.removeEventListener("keydown", this.pressed)
  }

  /** The actions of keys, by key: a page adds its own. */
  acts() {
    const acts = { "/": () => this.board.search() }
    COSTS.forEach((axis, index) => (acts[index + 1] = () => this.board.choose(axis)))
    return acts
  }

  press(event) {
    if (belongsElsewhere(event) || !this.root.isConnected) return
    const act = this.acts()[event.key.length === 1 ? event.key.toLowerCase() : event.key]
    if (!act) return
    event.preventDefault()
    act(event)
  }

  ids() {
    return this.data.groups.flatMap((group) => group.runs)
  }

  update(data, component) {
    const before = JSON.stringify(this.data.groups)
    Object.assign(this, { data, component: component ?? this.component })
    this.live.token = data.token
    if (JSON.stringify(data.groups) === before) return
    this.setUp()
    this.live.watch(this.ids())
  }

  /** Begin with the present groups; keep what is known of runs that stay. */
  setUp() {
    const ids = this.ids()
    for (const known of [this.curves, this.frames, this.statuses]) {
      for (const id of known.keys()) if (!ids.includes(id)) known.delete(id)
    }
    for (const id of ids) {
      if (!this.curves.has(id)) this.curves.set(id, new Curves())
      if (!this.frames.has(id)) this.frames.set(id, {})
    }
    this.reset()
    this.board.chosen = false
    this.recolour()
  }

  recolour() {
    this.painter.ask()
    this.legendKey = ""
    this.showLegend()
    this.board.change()
  }

  // ------------------------------------------------------------------ what comes

  hear(message) {
    if (message.op === "alarms") this.notices.showAlarms(message)
    else if (message.op === "source") this.notices.showSource(message)
    else if (message.op === "gone") this.notices.showDeleted(message)
    else if (message.op === "status") {
      this.statuses.set(message.run, message)
      this.named()
    } else if (message.op === "history" && message.whole) this.curves.get(message.run)?.clear()
    else if (message.op === "keyframes" || message.op === "error") this.synced.add(message.run)
    if (message.op === "error") this.notices.showTrouble(message.message)
    this.heard?.(message)
  }

  take(frame) {
    const { run, kind, path } = frame.header
    if (!this.curves.has(run)) return
    if (kind === "scalar") this.curves.get(run).add(frame)
    else if (kind === "text") {
      if (path === "run/resumed") this.curves.get(run).cutAfter(frame.header.last[0])
      this.hearText?.(run, frame.header)
    } else {
      this.frames.get(run)[path] = frame
      // many runs speak at once: their pictures need not follow each other's every word
      this.later ??= setTimeout(() => {
        this.later = null
        this.painter.ask()
      }, PICTURES_EVERY)
    }
  }

  show() {
    this.board.ask()
    this.showLegend()
  }

  // ------------------------------------------------------------------ groups

  colour(index) {
    const { runs } = coloursOf(this.root)
    return runs[index % runs.length]
  }

  /** A click on a group hides its lines in every chart. */
  showLegend() {
    const { hidden } = this.board
    const key = JSON.stringify([this.data.groups, [...hidden]])
    if (key === this.legendKey) return
    this.legendKey = key
    this.board.legend.replaceChildren(
      ...this.data.groups.map((group, index) => {
        const mark = make("i")
        mark.style.background = this.colour(index)
        const chip = make(
          "button.bl-chip",
          { type: "button", title: "Show or hide its lines" },
          mark,
          group.title,
        )
        chip.setAttribute("aria-pressed", String(!hidden.has(group.runs[0])))
        chip.onclick = () => {
          this.board.toggle(hidden, "hide", group.runs[0])
          this.showLegend()
        }
        return chip
      }),
    )
  }
}
