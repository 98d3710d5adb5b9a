// Runs side by side: pictures on one scale, curves with bands over seeds. Live while they run.

import { Board } from "./charts/board.js"
import { compareSource } from "./charts/sources.js"
import { ManyRuns } from "./comparing/many_runs.js"
import { coloursOf } from "./parts/colours.js"
import { drawn, fromAddress, keepInAddress, make, Painter, segments } from "./parts/dom.js"
import { exporter, linkCopier, save } from "./parts/figures/export.js"
import { count } from "./parts/formatting.js"
import { DifferenceCard } from "./comparing/difference_card.js"
import { SeedRow } from "./comparing/seed_row.js"
import { statusWord } from "./parts/status.js"
import { layOut, massOf, paintCompared, viewOf } from "./comparing/pictures.js"
import { readAnswer } from "./stream/answers.js"
import { csvOf } from "./stream/frame_csv.js"

/** Samples drawn for this page, each run from the same numbers. */
const ONE_SEED = "one_seed"
const PICTURES = {
  "landscape/model": "landscape",
  "samples/long_run": "long-run samples",
  "samples/train_time": "train-time samples",
  [ONE_SEED]: "samples with one seed",
}

export function mount(slot, component) {
  const page = new ComparePage(slot, component)
  return { update: (data, next) => page.update(data, next), unmount: () => page.close() }
}

class ComparePage extends ManyRuns {
  reset() {
    this.cards.replaceChildren()
    this.shownCards.clear()
  }

  build() {
    this.shownCards = new Map()
    /** the answer by run */
    this.answers = new Map()
    this.kind = fromAddress("picture") in PICTURES ? fromAddress("picture") : "landscape/model"
    const kinds = { ...PICTURES }
    if (this.data.bare) delete kinds[ONE_SEED]
    this.offered = Object.keys(kinds)
    this.kinds = segments(kinds, this.kind, (kind) => this.choose(kind), "Pictures")
    this.scaleNote = make("span.bl-muted")
    this.seeds = new SeedRow((question) => this.askToDraw(question))
    this.cards = make("div.bl-cards.bl-compared")
    /** the run that stands for a group of seeds, by its first */
    this.chosen = new Map()
    this.linked = (fromAddress("seeds") ?? "").split(",")
    this.difference = new DifferenceCard(() => this.painter.ask())
    const pictures = make(
      "section.bl-panel",
      {},
      make(
        "div.bl-row",
        {},
        make("h2", {}, "Pictures"),
        this.kinds,
        this.scaleNote,
        make("span.bl-right", {}, ...(this.data.bare ? [] : [linkCopier()])),
      ),
      this.seeds.row,
      this.cards,
    )
    this.painter = new Painter(pictures, () => this.drawPictures())
    this.board = new Board(compareSource(this))
    this.board.grid.classList.add("bl-wide")
    // a page with a board of its own wants the pictures alone
    this.root.append(
      ...(this.data.bare ? [pictures] : [this.notices.slot, pictures, this.board.slot]),
    )
    this.readDrawn()
  }

  update(data, component) {
    super.update(data, component)
    this.readDrawn()
  }

  choose(kind) {
    this.kind = kind
    keepInAddress("picture", kind)
    this.painter.ask()
  }

  /** Fetch what was drawn of each run since. */
  readDrawn() {
    const { drawn: sets, token } = this.data
    this.seeds.show(sets)
    for (const [run, name] of Object.entries(sets?.answers ?? {})) {
      if (this.answers.get(run)?.id === name) continue
      this.answers.set(run, { id: name })
      readAnswer({ run, name, token })
        .then((answer) => {
          this.answers.set(run, answer)
          this.painter.ask()
        })
        .catch((error) => this.notices.showTrouble(`Samples could not be read: ${error.message}`))
    }
    this.painter.ask()
  }

  // ------------------------------------------------------------------ pictures

  /** What a run has to show, {frame, data, words}: `words` where there is no frame. */
  pictureOf(run) {
    const frames = this.frames.get(run) ?? {}
    if (this.kind !== ONE_SEED) return { frame: frames[this.kind], data: frames["samples/data"] }
    const { answers = {}, failed = {}, waiting } = this.data.drawn ?? {}
    const answer = answers[run] ? this.answers.get(run) : null
    const of = (role) => answer?.frames?.find(({ header }) => header.meta.role === role)
    const words = failed[run] ?? (waiting ? "Being drawn." : "Not drawn yet.")
    return { frame: of("long_run"), data: of("data") ?? frames["samples/data"], words }
  }

  /** The first run of every group; a shared scale and view make them comparable. */
  drawPictures() {
    const colours = coloursOf(this.root)
    const available = this.offered.filter(
      (kind) => kind === ONE_SEED || [...this.frames.values()].some((frames) => frames[kind]),
    )
    for (const kind of this.offered) {
      this.kinds.disable(kind, available.includes(kind) ? "" : "None of these runs draws this.")
    }
    if (!available.includes(this.kind) && available.length) {
      // until their pictures are here nothing is known of the runs
      if (available[0] !== ONE_SEED) this.kinds.choose(available[0])
      return
    }
    this.seeds.row.hidden = this.kind !== ONE_SEED
    const pictures = this.data.groups.map((group) => this.pictureOf(this.runOf(group)))
    const fields = pictures.map(({ frame }) => (frame?.header.kind === "field" ? frame : null))
    const highest = Math.max(...fields.filter(Boolean).map((frame) => 1 / massOf(frame)))
    const cards = this.data.groups.map((group, index) => this.card(group, index))
    const real = this.realImages(pictures)
    const pairs = this.data.bare ? [] : this.differing(pictures)
    if (pairs.length < 2) this.difference.element.remove()
    else if (this.cards.lastChild !== this.difference.element) {
      this.cards.append(this.difference.element)
    }
    const side = layOut(this.cards, this.cards.clientWidth)
    pictures.forEach((picture, index) => {
      const { frame, words } = picture
      const card = cards[index]
      card.none.hidden = Boolean(frame)
      card.canvas.hidden = !frame
      card.none.textContent = words ?? "Nothing drawn yet."
      if (!frame) return
      const peak = fields[index] ? massOf(frame) * highest : 1
      const view = this.viewAmong(pictures, index)
      this.drawCard(card, { ...picture, peak, colour: this.colour(index) }, view, side, colours)
    })
    if (real) this.drawCard(this.realCard(), { frame: real, peak: 1 }, null, side, colours)
    if (pairs.length > 1) {
      const view = viewOf(pairs.map(({ frame }) => frame))
      this.difference.draw(pairs, view, side, colours)
    }
    this.noteScale(fields, pictures)
  }

  /** The run that stands for a group: its first, unless another seed was chosen. */
  runOf(group) {
    const linked = group.runs.find((run) => this.linked.includes(run))
    return this.chosen.get(group.runs[0]) ?? linked ?? group.runs[0]
  }

  /** The runs that stand for all groups. */
  runsDrawn() {
    return this.data.groups.map((group) => this.runOf(group))
  }

  /** Ask for samples of the runs that are drawn, from the same numbers {seed, steps}. */
  askToDraw({ seed, steps }) {
    const runs = this.runsDrawn()
    keepInAddress("draw_seed", seed)
    keepInAddress("draw_steps", steps)
    keepInAddress("seeds", runs.join(","))
    this.component.setTriggerValue("draw", { seed, steps, runs })
  }

  /** Landscapes or images of one data set, which can be taken from one another: {title, frame}. */
  differing(pictures) {
    const { groups } = this.data
    const kindOf = ({ frame }) => {
      const { kind, meta } = frame?.header ?? {}
      if (kind === "field") return meta.quantity && meta.quantity !== "energy" ? "" : kind
      // images of one place are of one noise only where they were drawn so
      return kind === "images" && this.kind === ONE_SEED
        ? frame.arrays.pixels.shape.slice(1).join()
        : ""
    }
    const first = pictures.findIndex((picture) => kindOf(picture))
    return pictures
      .map((picture, index) => ({ title: groups[index].title, frame: picture.frame, index }))
      .filter(
        ({ index }) =>
          first >= 0 &&
          groups[index].data === groups[first].data &&
          kindOf(pictures[index]) === kindOf(pictures[first]),
      )
  }

  /** One view for all that learned the same data: other data have axes of their own. */
  viewAmong(pictures, index) {
    const { groups } = this.data
    const same = pictures.filter((_, at) => groups[at].data === groups[index].data)
    return viewOf(
      same.flatMap(({ frame, data }) =>
        frame?.header.kind === "points" ? [frame, data] : [frame],
      ),
    )
  }

  noteScale(fields, pictures) {
    const words = []
    if (fields.some(Boolean)) words.push("normalised densities, one colour scale")
    if (pictures.some(({ frame, data }) => frame?.header.kind === "points" && data)) {
      words.push("data in grey, one axis")
    }
    const steps = new Set(pictures.map(({ frame }) => frame?.header.last[0]).filter(Boolean))
    if (steps.size > 1) words.push(`of different steps: ${[...steps].map(count).join(", ")}`)
    this.scaleNote.textContent = words.join(" · ")
  }

  /** Held-out or training images beside those of the models, where all learned the same. */
  realImages(pictures) {
    const { groups } = this.data
    const isOne = new Set(groups.map(({ data }) => data)).size === 1
    const picture = pictures.find(({ frame }) => frame?.header.kind === "images")
    const real = isOne && groups.length > 1 && !this.data.bare ? picture?.data : null
    if (!real) this.shownReal?.element.remove()
    else if (!this.shownReal?.element.isConnected) this.cards.append(this.realCard().element)
    return real ?? null
  }

  realCard() {
    if (!this.shownReal) {
      const canvas = make("canvas", { role: "img", "aria-label": "Real images" })
      const head = make("div.bl-row", {}, make("span.bl-name", {}, "Real images"))
      const step = make("div.bl-row.bl-muted")
      const element = make("div.bl-card", {}, head, step, canvas)
      this.shownReal = { element, canvas, step }
    }
    return this.shownReal
  }

  drawCard(card, picture, view, width, colours) {
    const { header } = picture.frame
    const isReal = header.meta.role === "data"
    card.step.textContent = isReal ? "data" : `step ${count(header.last[0])}`
    const { seq, path } = header
    const key = JSON.stringify([this.kind, seq, path, header.time, width, colours.bg, view])
    const painted = `${key} ${picture.peak.toPrecision(3)} ${picture.data?.header.time}`
    if (painted === card.painted) return
    card.painted = painted
    paintCompared(card.canvas, picture, view, width, colours)
    if (!picture.frame.isDrawn) drawn(card.canvas, header)
    picture.frame.isDrawn = true
  }

  /** A choice of the seed that is drawn, of a group of several. */
  seedChoice(group) {
    const choice = make("select", { "aria-label": "Seed drawn", title: "Seed drawn" })
    choice.onchange = () => {
      this.chosen.set(group.runs[0], choice.value)
      keepInAddress("seeds", this.runsDrawn().join(","))
      this.named()
      const { seed, steps } = this.data.drawn ?? {}
      if (seed !== undefined) this.askToDraw({ seed, steps })
      this.painter.ask()
    }
    choice.show = () => {
      choice.replaceChildren(
        ...group.runs.map((run) =>
          make("option", {
            value: run,
            selected: run === this.runOf(group),
            textContent: `seed ${this.statuses.get(run)?.seed ?? "…"}`,
          }),
        ),
      )
    }
    return choice
  }

  card(group, index) {
    const known = this.shownCards.get(group.runs[0])
    if (known) return known
    const canvas = make("canvas", { role: "img", "aria-label": group.title })
    const step = make("span.bl-muted")
    const word = make("span")
    const address = { href: `run?id=${group.runs[0]}`, title: group.title }
    const link = make("a.bl-name", address, group.title)
    const none = make("div.bl-empty", {}, "Nothing drawn yet.")
    const mark = make("i.bl-mark")
    mark.style.background = this.colour(index)
    const name = () => `${this.kind.replace("/", "-")}-${this.runOf(group)}`
    const ways = exporter({
      png: () => canvas.toBlob((blob) => save(`${name()}.png`, blob)),
      csv: () => save(`${name()}.csv`, csvOf(this.pictureOf(this.runOf(group)).frame), "text/csv"),
    })
    const seeds = group.runs.length > 1 ? this.seedChoice(group) : null
    const element = make(
      "div.bl-card",
      {},
      make("div.bl-row", {}, mark, link, ways),
      make("div.bl-row", {}, word, ...(seeds ? [seeds] : []), step),
      canvas,
      none,
    )
    this.cards.append(element)
    const card = { element, canvas, step, word, none, group, seeds, link }
    this.shownCards.set(group.runs[0], card)
    this.named()
    return card
  }

  named() {
    for (const card of this.shownCards.values()) {
      const run = this.runOf(card.group)
      const status = this.statuses.get(run)
      const seeds = card.group.runs.map((id) => this.statuses.get(id)?.seed).join()
      const key = `${run} ${status?.status} ${seeds}`
      if (!status || card.status === key) continue
      card.status = key
      card.word.replaceChildren(statusWord(status.status))
      card.link.href = `run?id=${run}`
      card.seeds?.show()
    }
  }
}
