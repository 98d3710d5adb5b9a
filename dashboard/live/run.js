// The live panels of one run: one socket, one clock, one time bar for all of them.

import { Board } from "./charts/board.js"
import { Bell } from "./parts/bell.js"
import { afterDialogs, fromAddress, keepInAddress, make, rootOf } from "./parts/dom.js"
import { belongsElsewhere, keysNote, letters } from "./parts/keys.js"
import { alarmNotes } from "./pictures/alarm_notes.js"
import { Notices } from "./parts/notices.js"
import { count, duration, figure } from "./parts/formatting.js"
import { nameOf, ofParent } from "./parts/status.js"
import { isFailure, isOver } from "./parts/vocabulary.js"
import { COSTS, Curves } from "./stream/curves.js"
import { Live } from "./stream/socket.js"
import { isMark, runSource } from "./charts/sources.js"
import { fixedOf, PREDICTED, RunPictures } from "./pictures/run_pictures.js"
import { TimeBar } from "./pictures/timebar.js"

const HERO_PATHS = [
  "landscape/model",
  "samples/train_time",
  "samples/long_run",
  "principal/energy",
  "energy/histogram",
  ...PREDICTED,
]
/** Milliseconds after which the page is shown whatever was heard. */
const LONGEST_WAIT = 3000
/** Kinds of frames that make small pictures of moments. */
const SMALL = ["field", "images"]
const KEYS = [
  ["Space", "freeze, and live again"],
  ["← →", "one moment back or on; with Shift, ten"],
  ["L", "live"],
  ["R", "replay, and pause it"],
  ["P", "pause or resume the run"],
  ["1 to 4", "what the x axis counts"],
  ["/", "find a metric"],
  ["?", "this list"],
]

const link = (textContent, act) =>
  make("a", { href: "#", textContent, onclick: (event) => (event.preventDefault(), act()) })

export function mount(slot, component) {
  let panel = new RunPanel(slot, component)
  return {
    update(data, next) {
      if (data.run === panel.settings.run) return panel.update(data, next)
      panel.close()
      panel = new RunPanel(slot, next)
    },
    unmount: () => panel.close(),
  }
}

class RunPanel {
  constructor(slot, component) {
    this.component = component
    this.settings = component.data
    const { root, unwatch } = rootOf(slot, (colours) => this.recolour(colours))
    Object.assign(this, { root, unwatch, present: {}, past: null })
    root.dataset.panelOf = this.settings.run
    this.curves = new Curves()
    this.texts = []
    this.unread = new Set()
    this.wanted = null
    this.build()
    this.live = new Live(this.settings.token, {
      message: (message) => this.hear(message),
      frame: (frame) => this.take(frame),
      done: () => this.show(),
      connection: (state) => this.connection(state),
    })
    this.live.watch([this.settings.run])
    this.live.follow("alarms")
    this.pressed = (event) => this.press(event)
    document.addEventListener("keydown", this.pressed)
  }

  close() {
    this.live.close()
    document.removeEventListener("keydown", this.pressed)
    this.unwatch()
    this.notices.close()
    this.pictures.close()
    this.time.close()
    this.board.close()
  }

  update(data, component) {
    this.component = component
    this.live.token = data.token
  }

  // ------------------------------------------------------------------ the page

  build() {
    this.alarms = make("div", { "aria-live": "polite" })
    this.bar = make("div")
    this.facts = make("div.bl-facts")
    this.bell = new Bell()
    this.progress = make(
      "div.bl-progress",
      {},
      make("div.bl-bar", {}, this.bar),
      this.facts,
      this.bell.button,
    )
    this.notices = new Notices([this.settings.run])
    this.trouble = make("div.bl-note.alarm", { hidden: true, role: "alert" })
    this.back = make("div.bl-note.info", { hidden: true })
    this.keys = keysNote(KEYS)
    this.board = new Board(runSource(this))
    this.pictures = new RunPictures(this.root, this.board.slot, (paths, most) =>
      this.earlier(paths, most),
    )
    this.lines = make("ul.bl-log-lines", { tabIndex: 0 })
    this.lower = make(
      "div.bl-lower",
      {},
      this.pictures.tables,
      make("section.bl-panel", {}, make("header", {}, make("h2", {}, "What happened")), this.lines),
    )
    this.root.append(
      this.progress,
      this.notices.slot,
      this.trouble,
      this.back,
      this.keys,
      this.alarms,
      this.pictures.top,
      this.pictures.columns.slot,
      this.pictures.attacked.slot,
      this.pictures.more.slot,
      this.lower,
    )
    this.time = new TimeBar(this.root, (step) => this.seek(step))
    this.time.film.classList.add("bl-room")
    // the first word says which notes stand above the picture: what is drawn before it would jump
    this.root.classList.add("bl-early")
    setTimeout(() => this.begin(), LONGEST_WAIT)
  }

  begin() {
    this.root.classList.remove("bl-early")
  }

  recolour(colours) {
    this.pictures.recolour(colours)
    this.board.change()
    this.time.recolour()
  }

  get isOver() {
    return isOver(this.status?.status)
  }

  press(event) {
    if (belongsElsewhere(event) || !this.root.isConnected) return
    if (event.key.length === 1 && event.key !== "?" && !letters.areOn()) return
    const acts = {
      ArrowLeft: () => this.time.move(event.shiftKey ? -10 : -1),
      ArrowRight: () => this.time.move(event.shiftKey ? 10 : 1),
      " ": () => (this.past ? this.time.live() : this.time.move(0)),
      r: () => this.time.toggle(),
      l: () => this.time.live(),
      p: () => this.component.setTriggerValue("asked", "pause"),
      "/": () => this.board.search(),
      "?": () => (this.keys.hidden = !this.keys.hidden),
    }
    COSTS.forEach((axis, index) => (acts[index + 1] = () => this.board.choose(axis)))
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key]
    if (act) {
      event.preventDefault()
      act()
    }
  }

  // ------------------------------------------------------------------ what the server says

  connection(state) {
    this.notices.connection(state)
    // what was asked over a lost connection is never answered: ask anew
    if (!state.open) return
    this.unread.clear()
    if (this.wanted !== null) this.seek(this.wanted)
    else this.film()
  }

  hear(message) {
    if (["status", "gone", "error"].includes(message.op)) this.begin()
    if (message.op === "status") this.showStatus(message)
    else if (message.op === "alarms") this.notices.showAlarms(message)
    else if (message.op === "source") this.notices.showSource(message)
    else if (message.op === "gone") this.leave(message)
    else if (message.op === "history" && message.whole) {
      this.curves.clear()
      this.texts = []
    } else if (message.op === "keyframes") this.showSteps(message.steps)
    else if (message.op === "error") {
      // what cannot be read stays so; what could not be answered is forgotten with the next answer
      const words =
        "id" in message ? message.message : [...this.unread.add(message.message)].join(" ")
      this.pictures.wait(words)
      this.showTrouble(words)
    }
  }

  take(frame) {
    const { header } = frame
    if (header.kind === "scalar") this.curves.add(frame)
    else if (header.kind === "text") {
      if (header.path === "run/resumed") this.curves.cutAfter(header.last[0])
      this.newTexts = this.texts.push(header) > 0
      if (isMark(header)) this.board.change()
    } else {
      this.present[header.path] = frame
      this.newFrames = true
      if (header.path === this.heroPath()) {
        this.time.add(header.last[0])
        this.time.remember(frame)
      }
    }
  }

  /** After a message: draw what it changed. */
  show() {
    this.board.ask()
    if (this.newTexts) this.showTexts()
    if (this.newFrames && !this.past) this.showFrames()
    this.newTexts = this.newFrames = false
  }

  heroPath() {
    const there = HERO_PATHS.filter((path) => this.present[path])
    return there.find((path) => SMALL.includes(this.present[path].header.kind)) ?? there[0]
  }

  // ------------------------------------------------------------------ looking back

  /** Look at a step, or at the present; of steps asked for quickly, the last one counts. */
  async seek(step) {
    this.wanted = step
    if (step === null) {
      this.past = null
      this.back.hidden = true
      keepInAddress("at", null)
      this.showFrames()
      this.board.lookAt(null)
      return
    }
    if (this.seeking) return
    this.seeking = true
    const frames = await this.live.seek(this.settings.run, step)
    this.seeking = false
    if (!frames || this.wanted === null) return
    this.arrive(step, Object.fromEntries(frames.map((frame) => [frame.header.path, frame])))
    if (this.wanted !== step) this.seek(this.wanted)
  }

  arrive(step, frames) {
    this.past = { step, frames }
    this.showTrouble("")
    if (frames[this.heroPath()]) this.time.remember(frames[this.heroPath()])
    const now = count(this.status?.step ?? 0)
    this.back.hidden = false
    const live = link(this.isOver ? "To the end" : "Back to live", () => this.time.live())
    const fork = link("Fork from here", () => this.component.setTriggerValue("fork", step))
    this.back.replaceChildren(
      `You are looking at step ${count(step)} of ${now}. ${this.isOver ? "" : "The run goes on. "}`,
      live,
      ...(Number.isInteger(this.status?.checkpoint_step) ? [" · ", fork] : []),
    )
    keepInAddress("at", String(step))
    this.showFrames()
    this.board.lookAt(step)
  }

  /** Frames of at most `most` earlier moments, evenly chosen, oldest first. */
  async earlier(paths, most) {
    const frames = []
    for (const step of this.time.spread(most)) {
      frames.push(...((await this.live.seek(this.settings.run, step, paths)) ?? []))
    }
    return frames
  }

  /** Fetch small pictures of earlier moments for the strip, one at a time, when nothing waits. */
  async film() {
    if (this.filming || !this.moments?.length) return
    this.filming = true
    const frames = await this.live.seek(this.settings.run, this.moments.shift(), [this.heroPath()])
    this.filming = false
    if (!frames) return
    for (const frame of frames) this.time.remember(frame)
    this.film()
  }

  showSteps(stepsOf) {
    this.ready = true
    const path = this.heroPath() ?? HERO_PATHS.find((wanted) => stepsOf[wanted])
    const steps = stepsOf[path] ?? []
    this.time.know(steps, this.status?.step)
    const at = Number(fromAddress("at"))
    if (!this.opened && at && steps.length) {
      const near = steps.findLastIndex((step) => step <= at)
      this.time.choose(Math.max(near, 0))
    }
    if (!this.opened && path) {
      const every = Math.max(1, Math.floor(steps.length / 13))
      this.moments = steps.filter((_, place) => place % every === 0)
      setTimeout(() => this.film(), 600)
    }
    this.opened = steps.length > 0
  }

  // ------------------------------------------------------------------ drawing

  showFrames() {
    const frames = this.past ? { ...fixedOf(this.present), ...this.past.frames } : this.present
    this.pictures.show(frames, this.isOver)
    this.showTrouble()
  }

  /** Say what could not be read or answered, unless the place of the picture says it. */
  showTrouble(words = this.trouble.textContent) {
    this.trouble.textContent = words
    this.trouble.hidden = !words || this.pictures.isWaiting
  }

  /** Say that the run was deleted, here or by somebody else: nothing can be done with it then. */
  leave(message) {
    this.notices.showDeleted(message)
    document.querySelector(".st-key-run_acts")?.setAttribute("inert", "")
  }

  showTexts() {
    const lines = this.texts
      .slice(-200)
      .reverse()
      .map((text) => {
        const step = make("b", {}, count(text.last[0]))
        const [when, message] = [duration(text.last[2]), text.meta.message]
        return make("li", {}, make("span.bl-muted", {}, `${when} · step `), step, ` · ${message}`)
      })
    this.lines.replaceChildren(...lines)
  }

  showStatus(status) {
    this.status = status
    const fraction = status.fraction ?? 0
    this.bar.style.width = `${100 * fraction}%`
    const facts = []
    const add = (strong, rest) => facts.push(make("span", {}, make("b", {}, strong), ` ${rest}`))
    const steps = status.budget?.steps
    add(count(status.step), steps ? `of ${count(steps)} steps` : "steps")
    if (status.ahead) add(status.ahead, "")
    if (status.gradients) add(count(status.gradients), "gradients")
    add(duration(status.seconds), `of training${ofParent(status)}`)
    const judging = status.judge_seconds ?? 0
    if (status.observe_seconds - judging >= 1)
      add(duration(status.observe_seconds - judging), "of looking")
    if (judging >= 1) add(duration(judging), "of judging")
    if (status.joules !== null) {
      add(`${figure(status.joules / 1000)} kJ`, status.joules_source ?? "")
    }
    this.facts.replaceChildren(...facts)
    this.time.reach(status.step)
    this.showNotes(status)
    this.bell.follow(status, nameOf(status))
    if (status.status === "queued") {
      this.pictures.wait(`Queued: ${status.reason || "it starts when a worker is free."}`)
    }
    // the native head shows the word that the page script knew
    if (status.status !== (this.reported ?? this.settings.status)) {
      this.reported = status.status
      afterDialogs(() => this.component.setTriggerValue("status", this.status.status))
    }
  }

  showNotes(status) {
    const { alarms, dismissed, problem, reason } = status
    const isBad = problem || isFailure(status.status)
    const isCutOff = !isBad && status.interrupted && reason
    const key = JSON.stringify([isBad && [status.status, reason], isCutOff, alarms, dismissed])
    // a word that is being written outlives the figures of the next look
    if (key === this.noted || this.alarms.contains(document.activeElement)) return
    this.noted = key
    const head = make("b", {}, `${status.status[0].toUpperCase()}${status.status.slice(1)}: `)
    this.alarms.replaceChildren(
      ...(isBad ? [make("div.bl-note.alarm", {}, head, reason)] : []),
      ...(isCutOff ? [make("div.bl-note.info", {}, make("b", {}, "Interrupted: "), reason)] : []),
      ...alarmNotes(status, (path, why) => {
        document.activeElement?.blur()
        this.component.setTriggerValue("looked_at", { path, why })
      }),
    )
    this.root.style.setProperty("--bl-notes", `${this.alarms.offsetHeight}px`)
  }
}
