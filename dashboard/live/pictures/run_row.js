// One run in the list of runs: its picture, what it is, how far it is, its best figure.

import { make } from "../parts/dom.js"
import { count, duration, figure, timeLeft } from "../parts/formatting.js"
import { nameOf, statusWord } from "../parts/status.js"
import { COMPANION_ENDING } from "../parts/vocabulary.js"
import { paintField } from "./field.js"
import { drawGrid } from "./images.js"

const SIDE = 56
const MOMENT = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }

export class RunRow {
  /** `onSelect(id, isOn, isRange)`: it was ticked, with Shift for all from the one ticked before. */
  constructor(run, onSelect) {
    this.box = make("input", { type: "checkbox" })
    this.box.setAttribute("aria-label", `Select ${nameOf(run)}`)
    this.box.onclick = (event) => onSelect(run.id, this.box.checked, event.shiftKey)
    this.canvas = make("canvas", { width: SIDE, height: SIDE })
    const address = { href: `run?id=${run.id}` }
    const picture = make("a.bl-thumb", { ...address, "aria-hidden": "true" }, this.canvas)
    picture.tabIndex = -1
    this.name = make("a.bl-name", address)
    this.facts = make("div.bl-muted")
    this.word = make("div")
    this.bar = make("div")
    this.progress = make("div.bl-bar", {}, this.bar)
    this.left = make("div.bl-muted")
    this.best = make("div.bl-best")
    this.element = make(
      "div.bl-run",
      { role: "listitem" },
      this.box,
      picture,
      make("div.bl-who", {}, this.name, this.facts),
      make("div.bl-state", {}, this.word, this.progress, this.left),
      this.best,
    )
    this.element.dataset.run = run.id
  }

  /** Write what is known of the run; `place`: in the queue, 0 being next, -1 where it is in none. */
  fill(run, place, figures) {
    this.name.textContent = nameOf(run)
    this.facts.textContent = [
      `${run.method.replaceAll("_", " ")}, ${run.preset}`,
      run.data,
      `seed ${run.seed}`,
      new Date(run.created * 1000).toLocaleString("en-GB", MOMENT),
      ...run.tags.map((tag) => `#${tag}`),
    ].join(" · ")
    if (this.status !== run.status) this.word.replaceChildren(statusWord(run.status))
    this.status = run.status
    this.bar.style.width = `${100 * run.fraction}%`
    this.progress.hidden = !["running", "paused", "queued"].includes(run.status)
    const needsLook = run.alarms.length || run.problem
    const far = run.status === "queued" ? placeInQueue(place) : progressOf(run)
    this.left.textContent = needsLook ? `${far} · ⚠ needs a look` : far
    const reasons = [run.reason, ...run.alarms.map((alarm) => alarm.message)]
    this.left.title = reasons.filter(Boolean).join("\n")
    this.best.replaceChildren(...headline(run, figures))
  }

  /** Draw the run's picture, as far as its kind can be small. */
  paint(frame, colours) {
    const { canvas } = this
    if (frame.header.kind === "images") drawGrid(canvas, frame, { width: SIDE, count: 9 })
    if (frame.header.kind !== "field") return
    canvas.width = canvas.height = SIDE * 2
    canvas.style.width = canvas.style.height = `${SIDE}px`
    const context = canvas.getContext("2d")
    context.imageSmoothingQuality = "high"
    context.drawImage(paintField(frame, colours), 0, 0, SIDE * 2, SIDE * 2)
  }
}

function placeInQueue(place) {
  if (place < 0) return ""
  return place === 0 ? "next" : `${place} before it`
}

function progressOf(run) {
  const steps = run.budget.steps ? ` of ${count(run.budget.steps)}` : ""
  const time =
    run.status === "running" ? timeLeft(run.seconds_left, run.fraction) : duration(run.seconds)
  return [`${count(run.step)}${steps} steps`, time].filter(Boolean).join(" · ")
}

/** The run's best figure with its name and unit. */
function headline(run, figures) {
  const { path, value } = run.headline ?? {}
  if (value === undefined || value === null) {
    return [make("span.bl-muted", {}, run.status === "queued" ? "" : "no figure yet")]
  }
  const about = figures[path.replace(COMPANION_ENDING, "")]
  const name = [about?.title ?? path, about?.unit].filter(Boolean).join(", ")
  return [make("b", { title: String(value) }, figure(value)), make("div.bl-muted", {}, name)]
}
