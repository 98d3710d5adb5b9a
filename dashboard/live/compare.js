// Runs side by side: pictures on one scale, curves with bands over seeds. Live while they run.

import { Board } from "./board.js"
import { coloursOf, faded } from "./colours.js"
import { drawn, fromAddress, inField, keepInAddress, make, Painter, rootOf, segments } from "./dom.js"
import { csvOf, exporter, save } from "./export.js"
import { densities, paintField } from "./field.js"
import { drawGrid } from "./images.js"
import { Notices } from "./notices.js"
import { count } from "./numbers.js"
import { COSTS, Curves } from "./series.js"
import { Live } from "./socket.js"
import { compareSource } from "./sources.js"
import { statusWord } from "./status.js"

const PICTURES_EVERY = 150
const PICTURES = {
  "landscape/model": "landscape",
  "samples/long_run": "long-run samples",
  "samples/train_time": "train-time samples",
}
export function mount(slot, component) {
  const page = new ComparePage(slot, component.data)
  return { update: (data) => page.update(data), unmount: () => page.close() }
}

class ComparePage {
  constructor(slot, data) {
    const { root, unwatch } = rootOf(slot, () => this.recolour())
    Object.assign(this, { root, unwatch, data })
    this.curves = new Map()
    this.frames = new Map()
    this.statuses = new Map()
    this.shownCards = new Map()
    this.synced = new Set()
    this.build()
    this.setUp()
    this.live = new Live(data.token, {
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

  press(event) {
    if (inField(event) || !this.root.isConnected) return
    const axis = COSTS[Number(event.key) - 1]
    if (event.key === "/") {
      event.preventDefault()
      this.board.search()
    } else if (axis) this.board.choose(axis)
  }

  ids() {
    return this.data.groups.flatMap((group) => group.runs)
  }

  update(data) {
    const before = JSON.stringify(this.data.groups)
    this.data = data
    this.live.token = data.token
    if (JSON.stringify(data.groups) === before) return
    this.setUp()
    this.live.watch(this.ids())
  }

  /** What is known of runs that stay is kept. */
  setUp() {
    const ids = this.ids()
    for (const known of [this.curves, this.frames, this.statuses, this.shownCards]) {
      for (const id of [...known.keys()]) if (!ids.includes(id)) known.delete(id)
    }
    for (const id of ids) {
      if (!this.curves.has(id)) this.curves.set(id, new Curves())
      if (!this.frames.has(id)) this.frames.set(id, {})
    }
    this.cards.replaceChildren()
    this.cards.classList.toggle("many", this.data.groups.length > 8)
    this.shownCards.clear()
    this.board.chosen = false
    this.recolour()
  }

  recolour() {
    this.painter.ask()
    this.drawLegend()
    this.board.change()
  }

  build() {
    this.notices = new Notices()
    this.kind = fromAddress("picture") in PICTURES ? fromAddress("picture") : "landscape/model"
    this.kinds = segments(PICTURES, this.kind, (kind) => {
      this.kind = kind
      keepInAddress("picture", kind)
      this.painter.ask()
    }, "Pictures")
    this.scaleNote = make("span.bl-muted")
    this.cards = make("div.bl-cards")
    const pictures = make("section.bl-panel", {},
      make("div.bl-row", {}, make("h3", {}, "Pictures"), this.kinds, this.scaleNote), this.cards)
    this.painter = new Painter(pictures, () => this.drawPictures())
    this.board = new Board(compareSource(this))
    this.board.grid.classList.add("bl-wide")
    this.root.append(this.notices.slot, pictures, this.board.slot)
  }

  drawLegend() {
    this.legendKey = ""
    this.showLegend()
  }

  /** A click on a run hides its lines in every chart. */
  showLegend() {
    const { hidden } = this.board
    const key = JSON.stringify([this.data.groups, [...hidden]])
    if (key === this.legendKey) return
    this.legendKey = key
    this.board.legend.replaceChildren(
      ...this.data.groups.map((group, index) => {
        const mark = make("i")
        mark.style.background = this.colour(index)
        const chip = make("button.bl-chip", { type: "button", title: "Show or hide its lines" }, mark, group.title)
        chip.setAttribute("aria-pressed", String(!hidden.has(group.runs[0])))
        chip.onclick = () => {
          this.board.toggle(hidden, "hide", group.runs[0])
          this.showLegend()
        }
        return chip
      }))
  }

  hear(message) {
    if (message.op === "alarms") this.notices.hear(message)
    else if (message.op === "status") {
      this.statuses.set(message.run, message)
      this.nameCards()
    } else if (message.op === "history" && message.whole) this.curves.get(message.run)?.clear()
    else if (message.op === "keyframes" || message.op === "error") this.synced.add(message.run)
  }

  take(frame) {
    const { run, kind, path } = frame.header
    if (!this.curves.has(run)) return
    if (kind === "scalar") this.curves.get(run).add(frame)
    else if (kind === "text") {
      if (path === "run/resumed") this.curves.get(run).cutAfter(frame.header.last[0])
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

  // ------------------------------------------------------------------ pictures

  colour(index) {
    const { runs } = coloursOf(this.root)
    return runs[index % runs.length]
  }

  /** The first run of every group; a shared scale makes colours comparable. */
  drawPictures() {
    const colours = coloursOf(this.root)
    const shown = this.data.groups.map((group) => this.frames.get(group.runs[0])?.[this.kind])
    const available = Object.keys(PICTURES).filter((kind) =>
      [...this.frames.values()].some((frames) => frames[kind]))
    for (const kind of Object.keys(PICTURES)) {
      this.kinds.disable(kind, available.includes(kind) ? "" : "None of these runs draws this.")
    }
    if (!available.includes(this.kind) && available.length) {
      this.kind = available[0]
      this.kinds.choose(this.kind)
      return
    }
    const masses = shown.map((frame) => {
      if (frame?.header.kind !== "field") return null
      const { x_range: xs, y_range: ys } = frame.header.meta
      const cell = ((xs[1] - xs[0]) * (ys[1] - ys[0])) / frame.arrays.values.data.length
      frame.mass ??= densities(frame).reduce((sum, value) => sum + value, 0) * cell
      return frame.mass
    })
    const highest = Math.max(...masses.filter(Boolean).map((mass) => 1 / mass))
    this.scaleNote.textContent = masses.some(Boolean) ? "normalised densities, one colour scale" : ""
    this.data.groups.forEach((group, index) => {
      const card = this.card(group, index)
      const frame = shown[index]
      card.none.hidden = Boolean(frame)
      card.canvas.hidden = !frame
      if (!frame) return
      card.step.textContent = `step ${count(frame.header.last[0])}`
      const width = Math.max(Math.min(card.element.clientWidth, 420), 120)
      const key = [frame.header.seq, frame.header.path, width, colours.bg, highest.toPrecision(3)].join()
      if (key === card.painted) return
      card.painted = key
      if (frame.header.kind === "images") drawGrid(card.canvas, frame, { width })
      else if (frame.header.kind === "field") {
        this.paint(card.canvas, paintField(frame, colours, "density", masses[index] * highest), width)
      } else this.paintPoints(card.canvas, group.runs[0], frame, width, colours)
      if (!frame.told) drawn(card.canvas, frame.header)
      frame.told = true
    })
  }

  paint(canvas, source, width) {
    canvas.width = canvas.height = width * 2
    canvas.style.width = canvas.style.height = `${width}px`
    const context = canvas.getContext("2d")
    context.imageSmoothingQuality = "high"
    context.drawImage(source, 0, 0, width * 2, width * 2)
  }

  /** Samples over the data, in the view that all share. */
  paintPoints(canvas, run, frame, width, colours) {
    canvas.width = canvas.height = width * 2
    canvas.style.width = canvas.style.height = `${width}px`
    const context = canvas.getContext("2d")
    context.scale(2, 2)
    const data = this.frames.get(run)["samples/data"]
    const base = (data ?? frame).arrays.positions
    const range = [0, 1].map((axis) => {
      let [low, high] = [Infinity, -Infinity]
      for (let i = 0; i < base.shape[0]; i++) {
        low = Math.min(low, base.data[i * base.shape[1] + axis])
        high = Math.max(high, base.data[i * base.shape[1] + axis])
      }
      return [low, high]
    })
    const span = Math.max(range[0][1] - range[0][0], range[1][1] - range[1][0]) * 1.3 || 1
    const dots = (positions, colour, radius) => {
      context.fillStyle = colour
      const { shape, data: values } = positions
      for (let i = 0; i < shape[0]; i++) {
        const place = (axis) => (values[i * shape[1] + axis] - (range[axis][0] + range[axis][1]) / 2) / span
        context.beginPath()
        context.arc(width * (0.5 + place(0)), width * (0.5 - place(1)), radius, 0, 2 * Math.PI)
        context.fill()
      }
    }
    if (data) dots(data.arrays.positions, faded(colours.data, 0.3), 1.2)
    const made = frame.header.meta.role === "train_time" ? colours.chains : colours.samples
    dots(frame.arrays.positions, faded(made, 0.85), 1.8)
  }

  card(group, index) {
    const known = this.shownCards.get(group.runs[0])
    if (known) return known
    const canvas = make("canvas", { role: "img", "aria-label": group.title })
    const step = make("span.bl-muted")
    const word = make("span")
    const link = make("a.bl-name", { href: `/run?id=${group.runs[0]}` }, group.title)
    const none = make("div.bl-empty", {}, "Nothing drawn yet.")
    const mark = make("i.bl-mark")
    mark.style.background = this.colour(index)
    const name = () => `${this.kind.replace("/", "-")}-${group.runs[0]}`
    const ways = exporter({
      png: () => canvas.toBlob((blob) => save(`${name()}.png`, blob)),
      csv: () => save(`${name()}.csv`, csvOf(this.frames.get(group.runs[0])[this.kind]), "text/csv"),
    })
    const element = make("div.bl-card", {},
      make("div.bl-row", {}, mark, link, ways), make("div.bl-row", {}, word, step), canvas, none)
    this.cards.append(element)
    const card = { element, canvas, step, word, none }
    this.shownCards.set(group.runs[0], card)
    this.nameCards()
    return card
  }

  nameCards() {
    for (const [id, card] of this.shownCards) {
      const status = this.statuses.get(id)
      if (status && card.said !== status.status) {
        card.said = status.status
        card.word.replaceChildren(statusWord(status.status))
      }
    }
  }
}
