// One time bar for several runs: each shows what it recorded nearest to the step looked at.

import { fromAddress, keepInAddress } from "../parts/dom.js"
import { letters } from "../parts/keys.js"
import { TimeBar } from "../pictures/timebar.js"
import { Moments } from "./moments.js"

const STRIP = 13

export class Past {
  /** `page`: it has `runsDrawn()`, `kind` (a path), `statuses`, `painter` and `live`. */
  constructor(slot, page) {
    this.page = page
    /** the step looked at; null at the present */
    this.at = null
    this.moments = new Moments(
      async (run, step, path) => (await page.live.seek(run, step, [path]))?.[0] ?? null,
      () => this.came(),
    )
    this.time = new TimeBar(slot, (step) => this.look(step))
    this.time.bar.classList.add("bl-moments")
    this.time.bar.onpointerenter = () => this.lookAhead()
    this.time.slider.onfocus = () => this.lookAhead()
    this.time.bar.hidden = true
  }

  acts() {
    const acts = {
      ArrowLeft: (event) => this.time.move(event.shiftKey ? -10 : -1),
      ArrowRight: (event) => this.time.move(event.shiftKey ? 10 : 1),
    }
    if (!letters.areOn()) return acts
    return { ...acts, l: () => this.time.live(), r: () => this.time.toggle() }
  }

  hear({ op, run, steps }) {
    if (op !== "keyframes") return
    this.moments.know(run, steps)
    this.showSteps()
  }

  take({ run, path, kind, last }) {
    if (kind === "scalar" || kind === "text") return
    this.moments.add(run, path, last[0])
    if (path === this.page.kind) this.time.add(last[0])
  }

  /** The steps at which any of these runs recorded what is drawn. */
  showSteps() {
    const runs = this.page.runsDrawn()
    const steps = this.moments.steps(runs, this.page.kind)
    this.time.bar.hidden = steps.length < 2
    const now = Math.max(0, ...runs.map((run) => this.page.statuses.get(run)?.step ?? 0))
    this.time.know(steps, Math.max(now, steps.at(-1) ?? 0))
    const at = Number(fromAddress("at"))
    if (this.opened || !at || steps.length < 2) return
    this.opened = true
    this.time.choose(steps.findLastIndex((step) => step <= at))
  }

  /** Another kind of picture: at the present, until one looks back again. */
  restart() {
    if (this.at !== null) this.time.live()
    this.filmed = ""
    this.time.pictures.clear()
    this.time.strip()
    this.showSteps()
  }

  look(step) {
    this.at = step
    keepInAddress("at", step === null ? null : String(step))
    if (step !== null) this.lookAhead()
    this.page.painter.ask()
  }

  /** Fetch what recorded moments there are, those about the one looked at first. */
  lookAhead() {
    const runs = this.page.runsDrawn()
    const last = this.moments.steps(runs, this.page.kind).at(-1)
    if (last !== undefined) this.moments.look(runs, this.page.kind, this.at ?? last)
  }

  /** What a run recorded nearest to a step: {frame, near, words}. */
  pictureOf(run, kind, step) {
    const near = this.moments.nearest(run, kind, step)
    const frame = this.moments.get(run, kind, step)
    return { frame, near, words: near === null ? "Nothing of it was recorded." : "Fetching…" }
  }

  came() {
    if (this.at !== null) this.page.painter.ask()
    const [run] = this.page.runsDrawn()
    const steps = [...this.time.spread(STRIP)]
    const film = `${run} ${steps.join()}`
    if (this.filmed === film) return
    const frames = steps.map((step) => this.moments.get(run, this.page.kind, step))
    for (const frame of frames.filter(Boolean)) this.time.remember(frame)
    if (frames.every(Boolean)) this.filmed = film
  }

  recolour() {
    this.time.recolour()
  }

  close() {
    this.time.close()
  }
}
