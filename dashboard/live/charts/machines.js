// The machines of the workers: the course of their load, what they take, and what each worker does.

import { fromAddress, keepInAddress, make, rootOf, segments } from "../parts/dom.js"
import { duration } from "../parts/formatting.js"

const EVERY = 5000
const SPANS = { 1800: "30 minutes", 86400: "day" }
const WIDTH = 200
const HEIGHT = 30
const ACTS = {
  drain: ["Drain", "Finishes its run and takes no other"],
  resume: ["Resume", "Takes runs again"],
  restart: ["Restart", "Finishes its run, then starts anew with the code as it is by then"],
}

export function mount(slot, component) {
  const page = new Machines(slot, component)
  return { update: (data) => (page.token = data.token), unmount: () => page.close() }
}

class Machines {
  constructor(slot, component) {
    const { root, unwatch } = rootOf(slot)
    Object.assign(this, { root, unwatch, component, slot, token: component.data.token })
    this.span = fromAddress("span") in SPANS ? fromAddress("span") : "1800"
    const choose = (span) => {
      this.span = span
      keepInAddress("span", span === "1800" ? null : span)
      this.ask()
    }
    const head = make(
      "header.bl-machines-head",
      {},
      make("h2", {}, "Machines"),
      segments(SPANS, this.span, choose, "How far back"),
    )
    this.note = make("div.bl-note.alarm", { hidden: true, role: "status" })
    this.list = make("div")
    root.append(head, this.note, this.list)
    this.look = () => document.hidden || this.ask()
    document.addEventListener("visibilitychange", this.look)
    this.timer = setInterval(this.look, EVERY)
    this.ask()
  }

  close() {
    this.closed = true
    clearInterval(this.timer)
    document.removeEventListener("visibilitychange", this.look)
    this.unwatch()
  }

  async ask() {
    const address = new URL("live/machines", window.location.href)
    address.searchParams.set("token", this.token)
    address.searchParams.set("seconds", this.span)
    const { span } = this
    try {
      const answer = await fetch(address, { cache: "no-store" })
      const content = answer.ok ? await answer.json() : await answer.text()
      if (this.closed || span !== this.span) return
      this.note.hidden = answer.ok
      if (answer.ok) this.draw(content)
      else this.note.textContent = content
    } catch {
      // the server is away: the page itself says so
    }
  }

  draw(machines) {
    this.slot.style.minHeight = ""
    const isNobodyHere = !machines.some(({ workers }) => workers.some(({ alive }) => alive))
    if (isNobodyHere) {
      this.note.hidden = false
      this.note.textContent =
        "No worker is running. “basin up” starts them; “basin worker” starts one more."
    }
    this.list.replaceChildren(...machines.map((machine) => this.machine(machine)))
  }

  machine({ host, workers, about, now, curves }) {
    const facts = about
      ? [plural(about.cores, "core"), size(about.memory_total), ...models(about.models)]
      : ["no reading yet"]
    const title = make("h3", {}, host, make("span.bl-muted", {}, facts.filter(Boolean).join(" · ")))
    const rows = devicesOf(workers, now).map((device) => {
      const own = workers.filter((worker) => worker.device === device)
      return this.device(device, own, readingOf(device, now, about, curves))
    })
    return make("section.bl-machine", { "data-path": host }, title, ...rows)
  }

  device(device, workers, reading) {
    const { load, loads, memory, memoryTotal, memories, power, powers } = reading
    const cell = (name, words, values, top) =>
      make(
        "div.bl-course",
        {},
        make("span.bl-muted", {}, name),
        area(values, top, `${device}, ${name}: ${words}`),
        make("span", {}, words),
      )
    const courses = [cell("load", percent(load), loads, 1)]
    const full = memoryTotal ? ` of ${size(memoryTotal)}` : ""
    courses.push(cell("memory", memory === null ? "–" : size(memory) + full, memories, memoryTotal))
    if (power !== null) courses.push(cell("power", `${Math.round(power)} W`, powers, null))
    return make(
      "div.bl-device",
      {},
      make("b", {}, device),
      make("div.bl-courses", {}, ...courses),
      make("div.bl-workers", {}, ...workers.map((worker) => this.worker(worker))),
    )
  }

  worker(worker) {
    const { name, run, alive } = worker
    const state = stateOf(worker)
    const about = [make(`span.bl-duty.${state.tone}`, { title: state.help }, state.word)]
    if (run?.id) {
      const share = run.fraction === undefined ? "" : ` ${percent(run.fraction)}`
      about.push(make("a", { href: `run?id=${run.id}` }, run.title), make("span", {}, share))
      if (run.by) about.push(make("span.bl-muted", {}, `by ${run.by}`))
    }
    const acts = alive ? actsOf(worker).map((act) => this.button(act, name)) : []
    return make(
      "div.bl-worker",
      { "data-run": name },
      make("code", {}, name),
      make("span.bl-doing", {}, ...about),
      make("span.bl-acts", {}, ...acts),
    )
  }

  button(act, name) {
    const [word, help] = ACTS[act]
    const button = make("button.bl-quiet", { type: "button", title: help }, word)
    button.setAttribute("aria-label", `${word} ${name}`)
    button.onclick = () => {
      this.component.setTriggerValue("act", { act, name })
      // a worker hears of it within a second
      setTimeout(() => this.ask(), 1500)
    }
    return button
  }
}

/** The CPU first, then whatever the workers or the driver name. */
export function devicesOf(workers, now) {
  const named = [...workers.map(({ device }) => device), ...Object.keys(now?.gpus ?? {})]
  return [...new Set(["cpu", ...named.filter(Boolean).sort()])]
}

/** What is known of a device: the CPU's figures are those of all of its machine. */
export function readingOf(device, now, about, curves) {
  const curve = (name) => curves?.[name] ?? []
  if (device === "cpu")
    return {
      load: now?.cpu ?? null,
      loads: curve("cpu"),
      memory: now?.memory ?? null,
      memoryTotal: about?.memory_total,
      memories: curve("memory"),
      power: now?.power ?? null,
      powers: curve("power"),
    }
  const own = now?.gpus?.[device] ?? {}
  return {
    load: own.busy ?? null,
    loads: curve(`${device}/busy`),
    memory: own.memory ?? null,
    memoryTotal: own.memory_total,
    memories: curve(`${device}/memory`),
    power: own.power ?? null,
    powers: curve(`${device}/power`),
  }
}

/** What a worker does, in a word; a process that has ended is dead, one of another machine silent. */
export function stateOf({ alive, dead, silent, asked, run }) {
  const since = `${duration(silent)} ago`
  if (dead)
    return {
      word: "✕ dead",
      tone: "alarm",
      help: "Its process has ended; “basin up” starts another by itself",
    }
  if (!alive)
    return {
      word: `⚯ silent, last heard ${since}`,
      tone: "alarm",
      help: "Nobody knows: look at its machine",
    }
  if (asked === "drain")
    return run
      ? { word: "◑ draining", tone: "warning", help: "Finishes its run and takes no other" }
      : { word: "◌ drained", tone: "warning", help: "Takes nothing until it resumes" }
  if (asked === "restart")
    return { word: "↻ restarting", tone: "warning", help: "Once its run has ended" }
  return run
    ? { word: "✓ working", tone: "good", help: "" }
    : { word: "✓ waiting", tone: "good", help: "" }
}

/** What can be asked of a living worker now. */
export function actsOf({ asked }) {
  if (asked === "restart") return ["resume"]
  return [asked === "drain" ? "resume" : "drain", "restart"]
}

/** Outlines of stretches that were read, as points of an SVG; a gap stays a gap. */
export function outlines(values, top) {
  const most = top || Math.max(...values.filter((value) => value !== null), 1e-9)
  const parts = []
  let part = null
  values.forEach((value, place) => {
    if (value === null) return (part = null)
    if (!part) parts.push((part = []))
    const x = values.length > 1 ? (place / (values.length - 1)) * WIDTH : WIDTH
    part.push([x, HEIGHT - 1 - Math.min(value / most, 1) * (HEIGHT - 2)])
  })
  return parts
}

function area(values, top, label) {
  const space = "http://www.w3.org/2000/svg"
  const svg = document.createElementNS(space, "svg")
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`)
  svg.setAttribute("preserveAspectRatio", "none")
  svg.setAttribute("role", "img")
  svg.setAttribute("aria-label", label)
  for (const part of outlines(values, top)) {
    const line = part.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`)
    const [first, last] = [part[0][0], part.at(-1)[0]]
    const ends = [`${last.toFixed(1)},${HEIGHT}`, `${first.toFixed(1)},${HEIGHT}`]
    for (const [name, points] of [
      ["polygon", [...line, ...ends]],
      ["polyline", line],
    ]) {
      const shape = document.createElementNS(space, name)
      shape.setAttribute("points", points.join(" "))
      shape.setAttribute("vector-effect", "non-scaling-stroke")
      svg.append(shape)
    }
  }
  return svg
}

const percent = (share) => (share === null ? "–" : `${Math.round(100 * share)} %`)
const plural = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`

/** "1.2 GB", "940 MB". */
export function size(bytes) {
  const [scale, unit] = bytes >= 1e9 ? [1e9, "GB"] : [1e6, "MB"]
  const value = bytes / scale
  return `${value >= 100 ? Math.round(value) : value.toPrecision(2)}\u2009${unit}`
}

/** "4 × A5000" */
function models(byDevice) {
  const counts = new Map()
  for (const model of Object.values(byDevice)) counts.set(model, (counts.get(model) ?? 0) + 1)
  return [...counts].map(([model, number]) => (number > 1 ? `${number} × ${model}` : model))
}
