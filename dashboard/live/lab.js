// A race of samplers: lanes side by side, errors against the truth by budget, diagnostics; one time
// for all of it, counted in what the race's budget counts.

import { Board } from "./charts/board.js"
import { coloursOf } from "./parts/colours.js"
import { RacerTable } from "./pictures/race/racer_table.js"
import { afterDialogs, fromAddress, keepInAddress, make, Painter } from "./parts/dom.js"
import { Coordinates } from "./pictures/race/coordinates.js"
import { RacerLane, samplesOf } from "./pictures/race/racer_lane.js"
import { ManyRuns } from "./comparing/many_runs.js"
import { count, duration, figure } from "./parts/formatting.js"
import { isOver } from "./parts/vocabulary.js"
import { COSTS, firstAt, valueAt } from "./stream/curves.js"
import { labSource } from "./charts/sources.js"
import { TimeBar } from "./pictures/timebar.js"
import { misses, reading } from "./pictures/race/racer_check.js"

const MOMENTS = 100
const PATHS = [
  "landscape/model",
  "chains/walk",
  "samples/long_run",
  "samples/train_time",
  "chains/diagnostics",
]
const CHANGED = /^(step size|temperature)\b.*?→\s*(\d*\.?\d+(?:e[+-]?\d+)?)/i
const LEAST_GAP = 250

export function mount(slot, component) {
  const page = new LabPage(slot, component)
  return { update: (data, next) => page.update(data, next), unmount: () => page.close() }
}

class LabPage extends ManyRuns {
  build() {
    this.lanes = new Map()
    this.changes = []
    this.queue = []
    this.past = null
    this.row = make("div.bl-lanes")
    this.back = make("div.bl-note.info", { hidden: true })
    this.painter = new Painter(this.row, () => this.showLanes())
    this.board = new Board(labSource(this))
    this.dotted = make(
      "p.bl-muted",
      { hidden: true },
      "Dotted: what as many independent exact draws as the racer's effective sample size would miss by.",
    )
    this.early = make("p.bl-muted", {}, "The first errors come some seconds after the start.")
    this.board.slot.append(this.early, this.dotted)
    this.table = new RacerTable()
    this.root.classList.add("bl-lab")
    this.coordinates = new Coordinates(() => this.showLanes())
    this.root.append(
      this.notices.slot,
      this.back,
      this.coordinates.slot,
      this.row,
      this.board.slot,
      this.table.slot,
    )
    this.time = new TimeBar(
      this.root,
      (at) => this.seek(at),
      (at) => this.words(at),
    )
    this.time.film.hidden = true
  }

  close() {
    for (const lane of this.lanes.values()) lane.close()
    clearTimeout(this.judging)
    this.time.close()
    super.close()
  }

  /** The groups have changed: lanes are made anew. */
  reset() {
    for (const lane of this.lanes.values()) lane.close()
    this.lanes.clear()
    this.changes = []
    this.notices.own = this.ids()
    const { groups } = this.data
    this.data.groups.forEach((group, index) => {
      const turn = (setting, value) =>
        this.component.setTriggerValue("turned", {
          runs: group.runs,
          setting,
          value,
          at: Date.now(),
        })
      this.lanes.set(group.runs[0], new RacerLane(group, this.colour(index), turn))
    })
    this.row.style.setProperty("--lanes", Math.min(groups.length, 4))
    this.row.replaceChildren(...[...this.lanes.values()].map((lane) => lane.slot))
  }

  recolour() {
    super.recolour()
    for (const lane of this.lanes?.values() ?? []) lane.recolour()
    this.table.key = null
    this.judge()
  }

  acts() {
    return {
      ...super.acts(),
      ArrowLeft: (event) => this.time.move(event.shiftKey ? -10 : -1),
      ArrowRight: (event) => this.time.move(event.shiftKey ? 10 : 1),
      " ": () => (this.past ? this.time.live() : this.time.move(0)),
      r: () => this.time.toggle(),
      l: () => this.time.live(),
    }
  }

  words(at) {
    const { axis } = this.data
    if (axis === "seconds") return duration(at)
    if (axis === "joules") return `${figure(at)} J`
    return axis === "step" ? `step ${count(at)}` : `${count(at)} gradients`
  }

  // ------------------------------------------------------------------ what comes

  isOver() {
    const { statuses } = this
    return statuses.size > 0 && [...statuses.values()].every(({ status }) => isOver(status))
  }

  /** A status has changed: lanes say so, and the native head is told. */
  named() {
    const { groups } = this.data
    for (const group of groups) {
      const known = group.runs.map((run) => this.statuses.get(run)).filter(Boolean)
      const waiting = group.runs.map((run) => this.queue.indexOf(run)).filter((place) => place >= 0)
      this.lanes
        .get(group.runs[0])
        ?.tell(known, waiting.length ? Math.min(...waiting) : -1, this.data)
    }
    if (!this.follows && [...this.statuses.values()].some(({ status }) => status === "queued")) {
      this.follows = true
      this.live.follow("runs")
    }
    const words = this.ids()
      .map((run) => this.statuses.get(run)?.status ?? "")
      .join()
    if (
      words !== (this.reported ?? this.data.statuses) &&
      this.statuses.size === this.ids().length
    ) {
      this.reported = words
      afterDialogs(() => this.component.setTriggerValue("statuses", this.reported))
    }
    this.reach()
  }

  heard(message) {
    if (message.op === "runs") {
      this.queue = message.queue
      this.named()
    } else if (message.op === "history" && message.whole) {
      this.changes = this.changes.filter(({ run }) => run !== message.run)
    } else if (message.op === "keyframes") this.reach()
  }

  /** A run took a change of a knob: a mark on the curves, and the knob stands there. */
  hearText(run, header) {
    if (header.path !== "run/changed") return
    const index = this.data.groups.findIndex((group) => group.runs.includes(run))
    const group = this.data.groups[index]
    this.changes.push({
      run,
      index,
      last: header.last,
      message: header.meta.message.replace(/\.$/, ""),
    })
    const [, name, value] = CHANGED.exec(header.meta.message) ?? []
    const lane = this.lanes.get(group.runs[0])
    if (name) lane?.settle(name.toLowerCase().replace(" ", "_"), Number(value))
    this.board.change()
  }

  marks(axis) {
    const place = COSTS.indexOf(axis)
    const several = this.data.groups.length > 1
    return this.changes.flatMap(({ index, last, message }) => {
      const x = last[place]
      if (x === null) return []
      const { title } = this.data.groups[index]
      return [
        {
          x,
          words: several ? `${title}: ${message}` : message,
          colour: ({ runs }) => runs[index % runs.length],
        },
      ]
    })
  }

  show() {
    super.show()
    this.judging ??= setTimeout(() => {
      this.judging = null
      this.judge()
    }, LEAST_GAP)
  }

  // ------------------------------------------------------------------ time

  /** The progress of the foremost, on the axis of the budget. */
  reach() {
    const { axis, budget } = this.data
    const far = [...this.statuses.values()].map(
      (status) => (axis === "step" ? status.step : status[axis]) ?? 0,
    )
    const now = Math.max(0, ...far)
    const whole = budget ?? now
    if (!whole) return
    const moments = Array.from({ length: MOMENTS }, (_, i) => (whole * (i + 1)) / MOMENTS)
    this.time.know(
      moments.filter((at) => at <= now),
      now,
    )
    const asked = Number(fromAddress("at"))
    if (!this.opened && asked && this.synced.size === this.ids().length && asked <= now) {
      this.time.choose(
        Math.max(
          this.time.steps.findLastIndex((at) => at <= asked * (1 + 1e-6)),
          0,
        ),
      )
    }
    this.opened ||= this.synced.size === this.ids().length
  }

  /** The step at which a run stood at a place on the axis of the budget; null before its first. */
  stepAt(run, at) {
    const all = [...(this.curves.get(run)?.paths.values() ?? [])]
    const longest = all.reduce(
      (best, columns) => (columns.step.length > (best?.step.length ?? 0) ? columns : best),
      null,
    )
    if (!longest) return null
    const row = firstAt(longest[this.data.axis], at)
    return longest.step[Math.min(row, longest.step.length - 1)]
  }

  /** Look at all racers where they had spent as much; of places asked for quickly, the last counts. */
  async seek(at) {
    this.wanted = at
    keepInAddress("at", at === null ? null : String(Number(at.toPrecision(6))))
    this.back.hidden = at === null
    if (at === null) {
      this.past = null
      this.board.lookAt(null)
      this.painter.ask()
      this.judge()
      return
    }
    if (this.seeking) return
    this.seeking = true
    const runs = this.data.groups.map((group) => group.runs[0])
    const answers = await Promise.all(
      runs.map((run) => {
        const step = this.stepAt(run, at)
        return step === null ? null : this.live.seek(run, step, PATHS)
      }),
    )
    this.seeking = false
    if (this.wanted === null) return
    const frames = new Map(
      runs.map((run, place) => [
        run,
        Object.fromEntries((answers[place] ?? []).map((frame) => [frame.header.path, frame])),
      ]),
    )
    this.past = { at, frames }
    const live = make("a", {
      href: "#",
      textContent: this.isOver() ? "To the end" : "Back to live",
    })
    live.onclick = (event) => {
      event.preventDefault()
      this.time.live()
    }
    this.back.replaceChildren(`You are looking at every racer after ${this.words(at)}. `, live)
    this.board.lookAt(at)
    this.painter.ask()
    this.judge()
    if (this.wanted !== at) this.seek(this.wanted)
  }

  // ------------------------------------------------------------------ drawing

  showLanes() {
    // a trained energy may be far from the true density of its data: chains walk on what they sample
    const paths = ["landscape/truth", "landscape/model"]
    if (this.data.trained) paths.reverse()
    const fieldOf = (frames) => paths.map((path) => frames[path]).find(Boolean)
    // one target for all: who waits in the queue is shown what it waits for
    const all = [...this.frames.values()]
    const target = all.map(fieldOf).find(Boolean)
    const data = all.map((frames) => frames["samples/data"]).find(Boolean)
    const points = all.map(samplesOf).find((frame) => frame?.header.kind === "points")
    if (points && !target) this.coordinates.offer(points, Boolean(data))
    for (const group of this.data.groups) {
      const [run] = group.runs
      const present = this.frames.get(run) ?? {}
      const truth = present["landscape/truth"]
      const past = { ...(truth && { "landscape/truth": truth }), ...this.past?.frames.get(run) }
      const frames = this.past ? past : present
      this.lanes.get(run)?.show(frames, fieldOf(frames) ?? target, data, this.coordinates)
    }
  }

  /** A group's figures where one looks: of several seeds the median. */
  figuresOf(group) {
    const { axis } = this.data
    return (path) => {
      const values = group.runs
        .flatMap((run) => {
          const columns = this.curves.get(run)?.get(path)
          if (!columns?.value.length) return []
          const value = this.past
            ? valueAt(columns, axis, this.past.at)
            : columns.value[columns.value.length - 1]
          return value === undefined ? [] : [value]
        })
        .sort((a, b) => a - b)
      if (!values.length) return undefined
      const half = Math.floor(values.length / 2)
      return values.length % 2 ? values[half] : (values[half - 1] + values[half]) / 2
    }
  }

  /** The frames of a group's runs; in the past, where only its first is looked at, of that one. */
  framesOf(group) {
    if (this.past) return [this.past.frames.get(group.runs[0])]
    return group.runs.map((run) => this.frames.get(run))
  }

  judge() {
    const { groups, errors } = this.data
    const { runs } = coloursOf(this.root)
    const racers = groups.map((group, index) => ({
      ...group,
      colour: runs[index % runs.length],
      figures: this.figuresOf(group),
      reading: reading(this.framesOf(group)),
      ended: this.lanes.get(group.runs[0])?.ended,
    }))
    // one error for all lanes, so that they compare
    const shared = errors.find(({ path }) =>
      racers.some(({ figures }) => figures(path) !== undefined),
    )
    for (const {
      runs: [run],
      figures,
      reading: { verdict, words },
    } of racers) {
      const lane = this.lanes.get(run)
      const own = shared ? misses(figures, [shared])[0] : undefined
      lane?.judge({ ...own, wrong: verdict === "wrong" ? words : "" })
      if (!this.past) lane?.follow("step_size", figures("sampler/step_size"))
    }
    const hasErrors = shared !== undefined
    this.board.title.textContent =
      hasErrors || !this.board.charts.size ? "Error against the truth" : "Curves"
    this.early.hidden = this.board.charts.size > 0
    this.dotted.hidden = !errors.some(({ path }) =>
      racers.some(({ figures }) => figures(`${path}/floor`) !== undefined),
    )
    this.table.show(
      racers,
      this.past ? `after ${this.words(this.past.at)}` : "of the latest draws",
      errors,
    )
  }
}
