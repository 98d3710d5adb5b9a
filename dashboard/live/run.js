// The live panels of one run: one socket, one clock, one time bar for all of them.

import { fromAddress, inField, keepInAddress, make, rootOf } from "./dom.js"
import { ImagesHero, LandscapeHero } from "./hero.js"
import { EnergyHistogram } from "./histogram.js"
import { Learning } from "./learning.js"
import { count, duration, figure, timeLeft } from "./numbers.js"
import { COSTS, Curves } from "./series.js"
import { Live } from "./socket.js"
import { TimeBar } from "./timebar.js"

const CHARTS_EVERY = 250
const HERO_PATHS = ["landscape/model", "samples/train_time", "samples/long_run", "energy/histogram"]
const KEYS = [
  ["Space", "freeze, and live again"], ["← →", "one moment back or on; with Shift, ten"],
  ["L", "live"], ["P", "pause or resume the run"], ["1 to 4", "what the x axis counts"],
  ["/", "find a metric"], ["?", "this list"],
]

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
    Object.assign(this, { root, unwatch })
    this.curves = new Curves()
    this.present = {}
    this.past = null
    this.texts = []
    this.wanted = null
    this.build()
    this.socket = new Live(this.settings.token, {
      message: (message) => this.hear(message),
      frame: (frame) => this.take(frame),
      connection: (state) => this.connection(state),
    })
    this.socket.watch([this.settings.run])
    this.ticking = setInterval(() => this.drawCharts(), CHARTS_EVERY)
    this.pressed = (event) => this.press(event)
    document.addEventListener("keydown", this.pressed)
  }

  close() {
    this.socket.close()
    clearInterval(this.ticking)
    clearInterval(this.counting)
    document.removeEventListener("keydown", this.pressed)
    this.unwatch()
    this.hero?.close()
    this.histogram.close()
    this.time.close()
    this.learning.close()
  }

  update(data, component) {
    this.component = component
    this.socket.token = data.token
  }

  // ------------------------------------------------------------------ the page

  build() {
    this.notes = make("div", { "aria-live": "polite" })
    this.bar = make("div")
    this.facts = make("div.bl-facts")
    this.progress = make("div.bl-progress", {}, make("div.bl-bar", {}, this.bar), this.facts)
    this.stale = make("div.bl-note", { hidden: true })
    this.trouble = make("div.bl-note.alarm", { hidden: true, role: "alert" })
    this.back = make("div.bl-note.info", { hidden: true })
    this.keys = make("div.bl-note.info.bl-keys", { hidden: true },
      ...KEYS.map(([key, word]) => make("span", {}, make("kbd", {}, key), ` ${word}`)))
    this.picture = make("div.bl-hero")
    this.waiting = make("div.bl-empty", { textContent: "Waiting for the first points…" })
    this.picture.append(this.waiting)
    const energies = make("section.bl-panel", {},
      make("header", {}, make("h3", {}, "Energy"),
        make("span.bl-muted", {}, "of data, model samples and noise · lower is likelier")))
    this.histogram = new EnergyHistogram(energies)
    this.learning = new Learning(this.curves, this.settings, (paths, from, to) =>
      this.socket.range(this.settings.run, paths, from, to))
    this.side = make("div.bl-side", {}, energies, this.learning.slot)
    this.top = make("div.bl-top", {}, this.picture, this.side)
    this.tables = make("div")
    this.lines = make("ul.bl-log-lines")
    this.lower = make("div.bl-lower", {},
      this.tables,
      make("section.bl-panel", {}, make("header", {}, make("h3", {}, "What happened")), this.lines))
    this.root.append(
      this.progress, this.stale, this.trouble, this.back, this.keys, this.notes, this.top, this.lower)
    this.time = new TimeBar(this.root, (step) => this.seek(step))
  }

  recolour(colours) {
    this.hero?.recolour(colours)
    this.histogram.draw()
    this.drawCharts(true)
  }

  drawCharts(all = false) {
    const { status, past } = this
    this.learning.draw({ end: status?.budget?.steps, at: past?.step, over: this.isOver }, all)
  }

  get isOver() {
    return Boolean(this.status) && !["running", "queued"].includes(this.status.status)
  }

  press(event) {
    if (inField(event) || !this.root.isConnected) return
    const acts = {
      ArrowLeft: () => this.time.move(event.shiftKey ? -10 : -1),
      ArrowRight: () => this.time.move(event.shiftKey ? 10 : 1),
      " ": () => (this.past ? this.time.live() : this.time.move(0)),
      l: () => this.time.live(),
      p: () => this.component.setTriggerValue("asked", "pause"),
      "/": () => this.learning.search(),
      "?": () => (this.keys.hidden = !this.keys.hidden),
    }
    COSTS.forEach((axis, index) => (acts[index + 1] = () => this.learning.choose(axis)))
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key]
    if (act) {
      event.preventDefault()
      act()
    }
  }

  // ------------------------------------------------------------------ what the server says

  connection({ open, retryIn }) {
    clearInterval(this.counting)
    // what was asked over a lost connection is never answered: ask anew
    Object.assign(this, { asked: false, filming: false, arriving: null })
    if (open) {
      this.stale.hidden = true
      if (this.wanted !== null) this.seek(this.wanted)
      else this.film()
      return
    }
    const since = Date.now()
    const say = () => {
      this.stale.hidden = false
      this.stale.innerHTML = "<b></b> The page shows what it had; the run goes on. <span></span>"
      const silent = Math.round((Date.now() - since) / 1000)
      this.stale.firstChild.textContent = `Live updates stopped ${silent}s ago.`
      const wait = Math.max(0, Math.ceil((retryIn - (Date.now() - since)) / 1000))
      this.stale.lastChild.textContent = `Trying again in ${wait}s.`
    }
    this.counting = setInterval(say, 1000)
  }

  hear(message) {
    if (message.op === "status") this.showStatus(message)
    else if (message.op === "history") {
      this.curves.clear()
      this.texts = []
    } else if (message.op === "keyframes") this.showIndex(message.index)
    else if (message.op === "seek") {
      this.arriving = { step: message.step, left: message.count, frames: {}, film: this.filming }
      if (!this.filming) this.asked = false
      this.filming = false
      this.trouble.hidden = true
      if (!message.count) this.arrived()
    } else if (message.op === "error") {
      Object.assign(this, { asked: false, filming: false })
      this.waiting.textContent = message.message
      this.trouble.textContent = message.message
      this.trouble.hidden = !this.hero
    }
  }

  take(frame) {
    const { header } = frame
    if (this.arriving?.left && header.kind !== "scalar" && header.kind !== "text") {
      this.arriving.frames[header.path] = frame
      this.arriving.left--
      if (!this.arriving.left) this.arrived()
      return
    }
    if (header.kind === "scalar") {
      if (header.meta.range) this.curves.addDetail(frame)
      else this.curves.add(frame)
      return
    }
    if (header.kind === "text") {
      if (header.path === "run/resumed") this.curves.cutAfter(header.last[0])
      this.texts.push(header)
      this.showTexts()
      return
    }
    this.present[header.path] = frame
    if (header.path === this.heroPath()) this.time.remember(frame)
    if (!this.past) this.showFrames()
  }

  heroPath() {
    return HERO_PATHS.find((path) => this.present[path])
  }

  // ------------------------------------------------------------------ looking back

  seek(step) {
    if (step === null) {
      this.past = null
      this.wanted = null
      this.back.hidden = true
      keepInAddress("at", null)
      this.showFrames()
      this.drawCharts(true)
      return
    }
    this.wanted = step
    if (this.asked || this.filming) return
    this.asked = true
    this.socket.seek(this.settings.run, step)
  }

  /** Fetch small pictures of earlier moments for the strip, one at a time, when nothing waits. */
  film() {
    if (this.asked || this.filming || !this.pictures?.length) return
    this.filming = true
    this.socket.seek(this.settings.run, this.pictures.shift(), [this.heroPath()])
  }

  arrived() {
    const { step, frames, film } = this.arriving
    this.arriving = null
    if (film) {
      for (const frame of Object.values(frames)) this.time.remember(frame)
      if (this.wanted !== null && this.past?.step !== this.wanted) {
        this.seek(this.wanted)
      } else this.film()
      return
    }
    if (this.wanted === null) return
    this.past = { step, frames }
    if (frames[this.heroPath()]) this.time.remember(frames[this.heroPath()])
    const now = count(this.status?.step ?? 0)
    this.back.hidden = false
    const live = make("a", { href: "#", textContent: this.isOver ? "To the end" : "Back to live" })
    live.onclick = (event) => {
      event.preventDefault()
      this.time.live()
    }
    this.back.replaceChildren(
      `You are looking at step ${count(step)} of ${now}. ${this.isOver ? "" : "The run goes on. "}`, live)
    keepInAddress("at", String(step))
    this.showFrames()
    this.drawCharts(true)
    if (this.wanted !== step) this.seek(this.wanted)
  }

  showIndex(index) {
    this.learning.ready = true
    const path = HERO_PATHS.find((wanted) => index.some((key) => key[1] === wanted))
    const steps = [...new Set(index.filter((key) => key[1] === path).map((key) => key[3]))]
    this.time.know(steps.sort((a, b) => a - b), this.status?.step)
    const at = Number(fromAddress("at"))
    if (!this.opened && at && steps.length) {
      const near = steps.findLastIndex((step) => step <= at)
      this.time.choose(Math.max(near, 0))
    }
    if (!this.opened && path) {
      const every = Math.max(1, Math.floor(steps.length / 13))
      this.pictures = steps.filter((_, place) => place % every === 0)
      setTimeout(() => this.film(), 600)
    }
    this.opened = steps.length > 0
  }

  // ------------------------------------------------------------------ drawing

  showFrames() {
    const frames = this.past ? { ...fixed(this.present), ...this.past.frames } : this.present
    const field = frames["landscape/model"]
    const images = Object.values(frames).some((frame) => frame.header.kind === "images")
    if (!this.hero && (field || images)) {
      this.picture.replaceChildren()
      this.hero = new (images ? ImagesHero : LandscapeHero)(this.picture)
      if (images) {
        this.top.style.gridTemplateColumns = "minmax(0, 1fr)"
        this.side.classList.add("below")
      }
    } else if (!this.hero && frames["energy/histogram"]) {
      this.waiting.textContent =
        "These events are neither images nor points in the plane: there is no landscape to draw. " +
        "Their energies and curves are beside this."
    }
    this.hero?.show(frames)
    this.histogram.show(frames["energy/histogram"])
    this.showTables(frames)
  }

  showTables(frames) {
    const titles = { "quality/final": "Final figures", "chains/diagnostics": "Chains" }
    const found = Object.entries(titles).filter(([path]) => frames[path])
    this.tables.replaceChildren(
      ...found.map(([path, title]) =>
        make("section.bl-panel", {}, make("header", {}, make("h3", {}, title)), table(frames[path]))))
  }

  showTexts() {
    const lines = this.texts.slice(-200).reverse().map((text) => {
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
    if (status.status === "running" && status.seconds_left !== null) {
      add(timeLeft(status.seconds_left, fraction), "")
    }
    add(count(status.gradients), "gradients")
    add(duration(status.seconds), "of training")
    if (status.observe_seconds >= 1) add(duration(status.observe_seconds), "of looking")
    if (status.joules !== null) {
      add(`${figure(status.joules / 1000)} kJ`, status.joules_source ?? "")
    }
    this.facts.replaceChildren(...facts)
    this.time.know([], status.step)
    this.showNotes(status)
    if (status.status === "queued") {
      this.waiting.textContent = "Queued: it starts when a worker is free."
    }
    // the native head shows the word that the page script knew
    if (status.status !== (this.told ?? this.settings.status)) {
      this.told = status.status
      this.component.setTriggerValue("status", status.status)
    }
  }

  showNotes(status) {
    const notes = []
    if (status.problem || ["failed", "diverged", "lost"].includes(status.status)) {
      notes.push(["alarm", capital(status.status), status.reason])
    }
    for (const alarm of status.alarms ?? []) {
      notes.push(["warning", `Step ${count(alarm.step)}`, alarm.message])
    }
    const key = JSON.stringify(notes)
    if (key === this.noted) return
    this.noted = key
    this.notes.replaceChildren(
      ...notes.map(([level, head, words]) =>
        make(`div.bl-note.${level}`, {}, make("b", {}, `${head}: `), words)))
  }
}

/** What never changes: it stays when looking back at a moment before it was said again. */
function fixed(frames) {
  const kept = ["samples/data", "landscape/truth"]
  return Object.fromEntries(Object.entries(frames).filter(([path]) => kept.includes(path)))
}

function table(frame) {
  const { columns, rows } = frame.header.meta
  const wordy = columns.map((_, column) => column > 0 && rows.every((row) => typeof row[column] !== "number"))
  const cell = (tag, value, column) =>
    make(wordy[column] ? `${tag}.words` : tag, { title: typeof value === "number" ? String(value) : "" },
      typeof value === "number" ? figure(value) : value ?? "–")
  return make("table", {},
    make("thead", {}, make("tr", {}, ...columns.map((name, column) => cell("th", name, column)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((value, column) => cell("td", value, column))))))
}

function capital(word) {
  return word[0].toUpperCase() + word.slice(1)
}
