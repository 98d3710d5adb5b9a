// A lane: one racer's chains on the target, how far it is, and what can be turned while it runs.

import { coloursOf } from "../../parts/colours.js"
import { drawn, make } from "../../parts/dom.js"
import { drawGrid } from "../drawing/images.js"
import { SettingSlider } from "../../parts/setting_slider.js"
import { Landscape } from "../drawing/landscape.js"
import { count, duration, figure } from "../../parts/formatting.js"
import { drawPoints } from "../drawing/points.js"
import { drawOnAxes, numLost } from "./racer_points.js"
import { statusWord } from "../../parts/status.js"
import { isFailure, isOver } from "../../parts/vocabulary.js"

const KNOBS = { step_size: "step size", temperature: "temperature" }
const GROUNDS = {
  "landscape/truth": "the true density",
  "landscape/model": "the energy that is sampled",
}
const SAMPLES = ["samples/long_run", "samples/train_time"]

/** The points or images that a racer's picture shows: those that count, once there are some. */
export function samplesOf(frames) {
  return SAMPLES.map((path) => frames[path]).find(Boolean)
}

/** For what a queued run waits: `place` in the queue, 0 being next, -1 not known; of so many workers. */
export function waitInWords(place, workers) {
  const order = place === 0 ? "next" : place > 0 ? `${place} before it` : ""
  const cause =
    workers === 0
      ? "no worker is there"
      : `waits for ${workers === 1 ? "the one worker" : `one of ${workers} workers`}`
  return [order, cause].filter(Boolean).join(", ")
}

export class RacerLane {
  /** `group`: {title, runs, exact, bias, knobs}; `onTurn(setting, value)`. */
  constructor(group, colour, onTurn) {
    Object.assign(this, { group })
    const mark = make("i.bl-mark")
    mark.style.background = colour
    const badge = make(
      "span.bl-badge",
      { title: group.bias },
      group.exact === null ? "" : group.exact ? "exact" : "biased",
    )
    badge.classList.toggle("biased", group.exact === false)
    this.waiting = make("div.bl-empty", {}, "Waiting for the first chains…")
    this.picture = make("div.bl-square", {}, this.waiting)
    this.word = make("span")
    this.far = make("span.bl-muted")
    this.seeds = make("span.bl-muted", { hidden: true })
    this.bar = make("div")
    this.error = make("b")
    this.named = make("span.bl-muted")
    this.lost = make("div.bl-lane-note.warning", { hidden: true })
    this.note = make("div.bl-lane-note", { hidden: true })
    this.alarm = make("div.bl-lane-note.warning", { hidden: true })
    this.sliders = Object.entries(group.knobs).map(([name, about]) => [
      name,
      new SettingSlider({ word: KNOBS[name], ...about }, (value) =>
        onTurn(`sampler.${name}`, value),
      ),
    ])
    this.slot = make(
      "article.bl-lane",
      { "aria-label": group.title },
      make(
        "header",
        {},
        mark,
        make("a.bl-name", { href: `run?id=${group.runs[0]}`, title: group.title }, group.title),
        badge,
      ),
      this.picture,
      this.lost,
      make("div.bl-far", {}, this.named, this.error),
      make("div.bl-bar", {}, this.bar),
      make("div.bl-row.bl-state", {}, this.word, this.far),
      this.seeds,
      make("div.bl-knobs", {}, ...this.sliders.map(([, slider]) => slider.slot)),
      this.note,
      this.alarm,
    )
  }

  close() {
    this.landscape?.close()
  }

  recolour() {
    this.painted = null
    this.landscape?.set({})
  }

  // ------------------------------------------------------------------ the picture

  /**
   * Draw the racer's frames: chains on the `field` of the target, a grid of images, or points over
   * `data`, draws of the target, on two of their `coordinates`.
   */
  show(frames, field, data, coordinates) {
    const samples = samplesOf(frames)
    if (!field && !samples) return
    if (this.waiting.isConnected) this.picture.replaceChildren()
    if (field) this.showLandscape(field, frames["chains/walk"])
    else this.showSamples(samples, data, coordinates)
  }

  showLandscape(field, walk) {
    this.landscape ??= new Landscape(this.picture, { bare: true })
    const before = this.landscape.frames
    if (before?.field === field && before?.walk === walk) return
    this.landscape.show({ field, walk })
    const chains = walk ? walk.arrays.positions.shape[1] : 0
    this.landscape.canvas.setAttribute(
      "aria-label",
      `${this.group.title}: ${chains} chains on ${GROUNDS[field.header.path]}.`,
    )
  }

  showSamples(frame, data, { axes, names }) {
    const width = Math.max(this.picture.clientWidth, 120)
    const colours = coloursOf(this.slot)
    const { seq, run, kind } = frame.header
    const key = [seq, run, data?.header.run, width, colours.bg, axes, names].join()
    if (key === this.painted) return
    this.painted = key
    if (!this.canvas) {
      this.canvas = make("canvas", { role: "img" })
      this.picture.append(this.canvas)
    }
    const isPlane = kind !== "images" && frame.arrays.positions.shape[1] > 1
    this.picture.classList.toggle("axes", isPlane)
    const words = isPlane ? this.drawPlane(frame, data, axes, names, width, colours) : ""
    this.canvas.setAttribute("aria-label", `${this.group.title}: its latest samples${words}.`)
    if (kind === "images") drawGrid(this.canvas, frame, { width })
    else if (!isPlane) drawPoints(this.canvas, frame, data, width, colours)
    if (!frame.isDrawn) drawn(this.canvas, frame.header)
    frame.isDrawn = true
  }

  /** Draw points on two coordinates; returns what its label says of it. */
  drawPlane(frame, data, axes, names, width, colours) {
    drawOnAxes(this.canvas, frame, data, axes, names, width, colours)
    const lost = numLost(frame.arrays.positions, axes)
    const ends = axes.map((axis) => names[axis])
    this.lost.hidden = !lost
    this.lost.textContent = `${count(lost)} of ${count(frame.arrays.positions.shape[0])} are not finite.`
    return ` on ${ends[0]} and ${ends[1]}`
  }

  // ------------------------------------------------------------------ how far it is

  /** `statuses` of its runs; `place` in the queue, 0 being next; the race: {axis, budget, workers}. */
  tell(statuses, place, { axis, budget, workers }) {
    if (!statuses.length) return
    const running = statuses.filter(({ status }) => status === "running")
    const now = running[0] ?? statuses.find(({ status }) => status === "queued") ?? statuses[0]
    const fraction =
      statuses.reduce((sum, { fraction }) => sum + (fraction ?? 0), 0) / statuses.length
    this.bar.style.width = `${100 * fraction}%`
    const state = [now.status, statuses.length].join()
    if (state !== this.state) {
      this.state = state
      this.word.replaceChildren(statusWord(now.status))
    }
    const parts = []
    const value = axis === "step" ? now.step : now[axis]
    if (now.status === "queued") {
      parts.push(waitInWords(place, workers))
    } else if (value !== null && value !== undefined) {
      const written = axis === "seconds" ? duration : axis === "joules" ? figure : count
      const unit = { step: " steps", gradients: " gradients", joules: " J", seconds: "" }[axis]
      parts.push(`${written(value)}${budget ? ` of ${written(budget)}` : ""}${unit}`)
    }
    parts.push(now.ahead ?? "")
    const done = statuses.filter(({ status }) => isOver(status)).length
    this.seeds.hidden = statuses.length < 2
    this.seeds.textContent = `${done} of ${statuses.length} seeds done`
    this.far.textContent = parts.filter(Boolean).join(" · ")
    for (const [, slider] of this.sliders) slider.enable(running.length > 0)
    if (this.waiting.isConnected) {
      this.waiting.textContent =
        now.status === "queued"
          ? "Queued: it starts when a worker is free."
          : isFailure(now.status)
            ? "Nothing was drawn."
            : "Waiting for the first chains…"
    }
    // a run that finished says, where it has no figures, why
    const why = statuses.filter(({ status }) => status === "finished").map(({ reason }) => reason)
    const alarms = statuses.flatMap(({ alarms }) => alarms ?? []).map(({ message }) => message)
    const warning = [...why.filter(Boolean), ...alarms].at(-1)
    this.alarm.hidden = !warning
    this.alarm.textContent = warning ? `⚠ ${warning}` : ""
    const bad = statuses.filter(({ status }) => isFailure(status))
    this.trouble = bad[0]?.reason ?? ""
    this.ended = bad.length
      ? `${bad[0].status}${statuses.length > 1 ? ` in ${bad.length} of ${statuses.length} seeds` : ""}`
      : ""
  }

  /** The error that all lanes show, its floor, and what speaks against the racer. */
  judge({ error, floor, short, wrong }) {
    this.error.textContent = error === undefined ? "" : figure(error)
    this.named.textContent =
      error === undefined
        ? ""
        : `error in ${short}${floor === undefined ? "" : ` · independent draws ${figure(floor)}`}`
    const words = this.trouble || wrong
    this.note.hidden = !words
    this.note.textContent = words ? `✕ ${words}` : ""
  }

  /** A knob was turned, says the run. */
  settle(name, value) {
    this.sliders.find(([known]) => known === name)?.[1].settle(value)
  }

  /** Show the value that the sampler uses now. */
  follow(name, value) {
    this.sliders.find(([known]) => known === name)?.[1].follow(value)
  }
}
