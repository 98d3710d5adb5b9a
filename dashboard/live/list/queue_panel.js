// What runs and what waits: how long each takes, and in which order the rest comes.

import { make } from "../parts/dom.js"
import { workersInWords } from "../parts/head_words.js"
import { duration } from "../parts/formatting.js"
import { statusWord } from "../parts/status.js"
import { forecast } from "./forecast.js"

const FIRST = 6

export class QueuePanel {
  /** `act(act, runs, more)`: what the page is asked to do. */
  constructor(act) {
    this.act = act
    this.body = make("div.bl-queue", { role: "list" })
    this.words = make("span.bl-muted")
    this.more = make("button.bl-quiet", { type: "button", hidden: true })
    this.more.onclick = () => {
      this.all = !this.all
      this.key = null
      this.draw(this.state)
    }
    const title = make("h2", {}, "Now and next")
    this.slot = make(
      "section.bl-now",
      { hidden: true },
      make("header", {}, title, this.words),
      this.body,
      this.more,
    )
  }

  /** `state`: {runs, queue, workers}. */
  draw(state) {
    this.state = state
    const { runs, queue, workers } = state
    const running = runs.filter((run) => run.status === "running" || run.status === "paused")
    const now = running.filter((run) => run.status === "running")
    const byId = new Map(runs.map((run) => [run.id, run]))
    const waiting = queue.map((id) => byId.get(id)).filter(Boolean)
    this.slot.hidden = !now.length && !waiting.length
    // a row that is dragged stays where the pointer has it
    if (this.slot.hidden || this.dragged) return
    const times = forecast(runs, queue, workers?.length ?? null)
    const limit = this.all ? Infinity : FIRST
    const shown = waiting.slice(0, limit)
    const rows = [
      ...now.slice(0, limit).map((run) => ({ run, place: -1, text: runningInWords(run) })),
      ...shown.map((run, place) => ({ run, place, text: waitingInWords(times.get(run.id)) })),
    ]
    const hidden = now.length + waiting.length - rows.length
    this.more.hidden = !hidden && !this.all
    this.more.textContent = this.all ? "Show fewer" : `${hidden} more`
    this.words.textContent = [workers && workersInWords(workers), `${waiting.length} queued`]
      .filter(Boolean)
      .join(" · ")
    const key = JSON.stringify(rows.map(({ run, text }) => [run.id, run.status, run.title, text]))
    if (key === this.key) return this.tick(now)
    this.key = key
    const focused = document.activeElement?.dataset?.handle
    this.bars = new Map()
    this.body.replaceChildren(...rows.map((row) => this.row(row, waiting)))
    this.tick(now)
    if (focused) this.body.querySelector(`[data-handle="${focused}"]`)?.focus()
  }

  tick(now) {
    for (const run of now) {
      const bar = this.bars.get(run.id)
      if (bar) bar.style.width = `${100 * run.fraction}%`
    }
  }

  row({ run, place, text }, waiting) {
    const bar = make("div")
    if (run.status === "running") this.bars.set(run.id, bar)
    const middle =
      run.status === "running" ? make("div.bl-bar", {}, bar) : make("div.bl-muted", {}, text[0])
    const buttons = place < 0 ? this.ofRunning(run) : this.ofWaiting(run, place)
    const element = make(
      "div.bl-queued",
      { role: "listitem" },
      place < 0 ? make("span") : this.handle(run, place, waiting),
      statusWord(run.status),
      make("a.bl-name", { href: `run?id=${run.id}` }, run.title),
      make("span.bl-muted.bl-seed", {}, `seed ${run.seed}`),
      middle,
      make("span.bl-when", {}, text[1]),
      make("span.bl-muted.bl-where", {}, run.device),
      make("span.bl-acts", {}, ...buttons),
    )
    element.dataset.queued = run.id
    return element
  }

  ofRunning(run) {
    return [this.button("pause", run), this.button("stop", run)]
  }

  ofWaiting(run, place) {
    const front = place
      ? this.button("to the front", run, () => this.move(run, 0))
      : make("span.bl-muted", {}, "next")
    return [front, this.button("take out", run, () => this.act("stop", [run.id]))]
  }

  button(word, run, press = () => this.act(word, [run.id])) {
    const button = make("button.bl-quiet", { type: "button", textContent: word })
    button.setAttribute("aria-label", `${word}: ${run.title}, seed ${run.seed}`)
    button.onclick = press
    return button
  }

  move(run, to) {
    this.act("move", [run.id], { to })
  }

  /** What is dragged, or moved by the arrow keys. */
  handle(run, place, waiting) {
    const handle = make("button.bl-handle", { type: "button", draggable: true, textContent: "⠿" })
    handle.setAttribute("aria-label", `Move ${run.title}, seed ${run.seed}: arrow up or down`)
    handle.title = "Drag, or arrow up and down"
    handle.dataset.handle = run.id
    handle.onkeydown = (event) => {
      const by = { ArrowUp: -1, ArrowDown: 1 }[event.key]
      if (!by) return
      event.preventDefault()
      const to = Math.min(Math.max(place + by, 0), waiting.length - 1)
      if (to !== place) this.move(run, to)
    }
    handle.ondragstart = (event) => {
      this.dragged = run
      event.dataTransfer.effectAllowed = "move"
      event.dataTransfer.setData("text/plain", run.id)
      event.dataTransfer.setDragImage(handle.parentElement, 12, 12)
    }
    handle.ondragend = () => {
      this.dragged = null
      this.mark(null)
      this.key = null
      this.draw(this.state)
    }
    this.body.ondragover = (event) => {
      if (!this.dragged) return
      event.preventDefault()
      this.mark(event.target.closest?.("[data-queued]"))
    }
    this.body.ondrop = (event) => {
      event.preventDefault()
      const id = event.target.closest?.("[data-queued]")?.dataset.queued
      // dropped on what runs already: to the front
      if (this.dragged && id) this.move(this.dragged, Math.max(this.state.queue.indexOf(id), 0))
    }
    return handle
  }

  mark(row) {
    for (const element of this.body.children) element.classList.toggle("target", element === row)
  }
}

function runningInWords(run) {
  return ["", run.ahead]
}

/** Times to 5 seconds, then to minutes: they are estimates. */
const rough = (seconds) =>
  duration(seconds < 60 ? Math.ceil(seconds / 5) * 5 : Math.ceil(seconds / 30) * 30)

function waitingInWords({ starts, takes }) {
  const begins =
    starts === null ? "" : starts < 1 ? "starts now" : `starts in about ${rough(starts)}`
  return [begins, takes === null ? "" : `takes about ${rough(takes)}`]
}
