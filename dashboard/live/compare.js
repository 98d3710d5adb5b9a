// Runs side by side: pictures on one scale, curves with bands over seeds. Live while they run.

import { Board } from "./charts/board.js"
import { compareSource } from "./charts/sources.js"
import { ManyRuns } from "./comparing/many_runs.js"
import { ModelCards } from "./comparing/model_cards.js"
import { PairTest } from "./comparing/pair_test.js"
import { PairView } from "./comparing/pair_view.js"
import { Past } from "./comparing/past.js"
import { columnsOf, isTable } from "./comparing/pair_plots.js"
import { massOf, paintCompared, viewOf } from "./comparing/pictures.js"
import { reportOf } from "./comparing/report.js"
import { ONE_SEED, Seeded } from "./comparing/seeded.js"
import { coloursOf } from "./parts/colours.js"
import { fromAddress, keepInAddress, make, Painter, segments } from "./parts/dom.js"
import { linkCopier, save } from "./parts/figures/export.js"
import { count } from "./parts/formatting.js"
import { letters } from "./parts/keys.js"

const PICTURES = {
  "landscape/model": "landscape",
  "samples/long_run": "long-run samples",
  "samples/train_time": "train-time samples",
  [ONE_SEED]: "samples with one seed",
  "future/landscape": "what may follow",
  "prediction/predicted": "predictions",
  "prediction/text": "held-out text",
}
/** Kinds of picture that none but runs that predict have. */
const PREDICTED = ["future/landscape", "prediction/predicted", "prediction/text"]
/** Ways of holding pictures against each other. */
const VIEWS = {
  side: "side by side",
  swipe: "swipe",
  flip: "flip",
  nearest: "nearest training",
  classes: "by class",
}

export function mount(slot, component) {
  const page = new ComparePage(slot, component)
  return { update: (data, next) => page.update(data, next), unmount: () => page.close() }
}

class ComparePage extends ManyRuns {
  reset() {
    this.cards.reset()
    this.past.restart()
  }

  build() {
    /** sample sets of a link are compared by their samples alone */
    this.isOfSets = Boolean(this.data.groups[0]?.set)
    this.kind = fromAddress("picture") in PICTURES ? fromAddress("picture") : "landscape/model"
    const kinds = this.isOfSets ? { [ONE_SEED]: "samples" } : { ...PICTURES }
    if (this.isOfSets) this.kind = ONE_SEED
    if (this.data.bare) delete kinds[ONE_SEED]
    this.offered = Object.keys(kinds)
    this.kinds = segments(kinds, this.kind, (kind) => this.choose(kind), "Pictures")
    this.view = fromAddress("view") in VIEWS ? fromAddress("view") : "side"
    this.views = segments(VIEWS, this.view, (view) => this.chooseView(view), "View")
    this.scaleNote = make("span.bl-muted")
    this.seeded = new Seeded(this)
    /** the run that stands for a group of seeds, by its first */
    this.chosen = new Map()
    this.linked = (fromAddress("seeds") ?? "").split(",")
    this.cards = new ModelCards(this)
    this.pairTest = new PairTest(this)
    this.pair = new PairView(() => this.painter.ask())
    const isBare = this.data.bare
    const report = make("button.bl-button", { type: "button" }, "Export report")
    report.title = "One HTML file with pictures, curves, figures and specs; opens from disk"
    report.onclick = () => this.exportReport(report)
    const pictures = make(
      "section.bl-panel",
      {},
      make(
        "div.bl-row",
        {},
        make("h2", {}, "Pictures"),
        this.kinds,
        ...(isBare ? [] : [this.views]),
        this.scaleNote,
        make("span.bl-right.bl-row", {}, ...(isBare ? [] : [linkCopier(), report])),
      ),
      this.seeded.row.row,
      this.seeded.selected.element,
      this.cards.element,
    )
    this.painter = new Painter(pictures, () => this.drawPictures())
    this.past = new Past(pictures, this)
    this.board = new Board(compareSource(this))
    this.board.grid.classList.add("bl-wide")
    // a page with a board of its own wants the pictures alone; of sets there are no curves
    this.root.append(
      ...(isBare ? [pictures] : [this.notices.slot, pictures, this.pairTest.element]),
    )
    if (!isBare && !this.isOfSets) this.root.append(this.board.slot)
    this.seeded.read()
    this.pairTest.show()
  }

  update(data, component) {
    super.update(data, component)
    this.seeded.read()
    this.pairTest.show()
  }

  close() {
    this.seeded.close()
    this.past.close()
    super.close()
  }

  recolour() {
    this.past.recolour()
    this.pairTest.recolour()
    super.recolour()
  }

  choose(kind) {
    this.kind = kind
    keepInAddress("picture", kind)
    this.past.restart()
    this.painter.ask()
  }

  chooseView(view) {
    this.view = view
    keepInAddress("view", view === "side" ? null : view)
    this.painter.ask()
  }

  acts() {
    const ofKind = this.kind === ONE_SEED ? this.seeded : this.past
    const acts = { ...super.acts(), ...ofKind.acts() }
    if (letters.areOn()) acts.f = () => this.flip()
    return acts
  }

  flip() {
    if (this.view === "flip") this.pair.flip()
    else this.views.choose("flip")
  }

  heard(message) {
    this.past.hear(message)
  }

  take(frame) {
    super.take(frame)
    this.past.take(frame.header)
  }

  named() {
    this.cards.named()
  }

  /** Another run stands for a group: what was drawn with one seed is drawn of it too. */
  seedChosen() {
    this.seeded.askAgain()
    this.pairTest.show()
    this.past.restart()
    this.painter.ask()
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

  // ------------------------------------------------------------------ pictures

  /**
   * What a group has to show at a step, or at present, {frame, data, words, near, nearest}: `words`
   * where it has no frame.
   */
  pictureOf(group, kind = this.kind, at = this.past.at) {
    const run = this.runOf(group)
    const frames = this.frames.get(run) ?? {}
    const data = frames["samples/data"]
    if (kind === ONE_SEED) return this.seeded.pictureOf(group, data)
    return at === null
      ? { frame: frames[kind], data }
      : { ...this.past.pictureOf(run, kind, at), data }
  }

  /** The first run of every group; a shared scale and view make them comparable. */
  drawPictures() {
    const colours = coloursOf(this.root)
    const available = this.offeredNow()
    for (const kind of this.offered) {
      const isThere = available.includes(kind)
      this.kinds.disable(kind, isThere ? "" : "None of these runs draws this.")
      this.kinds.hide(kind, !isThere && PREDICTED.includes(kind))
    }
    if (!available.includes(this.kind) && available.length) {
      // until their pictures are here nothing is known of the runs
      if (available[0] !== ONE_SEED) this.kinds.choose(available[0])
      return
    }
    this.seeded.row.row.hidden = this.kind !== ONE_SEED || this.isOfSets
    const pictures = this.pictures()
    this.seeded.showSelection(this.kind === ONE_SEED ? pictures : [])
    this.offerViews(pictures)
    const isPair = this.view === "swipe" || this.view === "flip"
    this.cards.element.hidden = isPair
    if (!isPair) this.pair.element.remove()
    else if (!this.pair.element.isConnected) this.cards.element.after(this.pair.element)
    if (isPair) this.drawPair(pictures, colours)
    else {
      this.cards.draw(pictures, {
        colours,
        real: this.view === "classes" ? null : this.realImages(pictures),
        pairs: this.data.bare || this.view === "classes" ? [] : this.differing(pictures),
        isPast: this.kind !== ONE_SEED && this.past.at !== null,
        hasNearest: this.view === "nearest",
      })
    }
    this.noteScale(pictures)
  }

  /** The kinds of picture that any of these runs has. */
  offeredNow() {
    return this.offered.filter(
      (kind) => kind === ONE_SEED || [...this.frames.values()].some((frames) => frames[kind]),
    )
  }

  colours() {
    return coloursOf(this.root)
  }

  kindWords(kind) {
    const word = this.isOfSets ? "samples" : PICTURES[kind]
    return word[0].toUpperCase() + word.slice(1)
  }

  /** Write all that is compared into one file that opens without a server. */
  async exportReport(button) {
    button.disabled = true
    button.textContent = "Writing…"
    try {
      const text = await reportOf(this, coloursOf(this.root))
      save(`comparison-${this.runsDrawn()[0]}.html`, text, "text/html")
    } catch (error) {
      this.notices.showTrouble(`The report could not be written: ${error.message}`)
    }
    button.textContent = "Export report"
    button.disabled = false
  }

  /** Of every group what is drawn, with the view and the scale that it shares with the others. */
  pictures(kind = this.kind, at = this.past.at) {
    const pictures = this.data.groups.map((group) => this.pictureOf(group, kind, at))
    const isField = ({ frame }) => frame?.header.kind === "field"
    const highest = Math.max(...pictures.filter(isField).map(({ frame }) => 1 / massOf(frame)))
    return pictures.map((picture, index) => ({
      ...picture,
      peak: isField(picture) ? massOf(picture.frame) * highest : 1,
      view: picture.frame ? this.viewAmong(pictures, index) : null,
      columns: this.columnsAmong(pictures, index),
      step: this.stepWords(picture, at),
    }))
  }

  /** Disable the views that these pictures cannot have. */
  offerViews(pictures) {
    const isAlone = pictures.length < 2 ? "Takes two runs." : ""
    const hasNearest = pictures.some(({ nearest }) => nearest?.header.kind === "images")
    const reasons = {
      swipe: isAlone,
      flip: isAlone,
      nearest: hasNearest ? "" : "Of images drawn with one seed: choose those first.",
      classes:
        this.kind === ONE_SEED && this.seeded.hasClasses
          ? ""
          : "Of samples with one seed of each class, drawn of models that know classes.",
    }
    for (const [view, reason] of Object.entries(reasons)) this.views.disable(view, reason)
    const isKnown = this.kind !== ONE_SEED || !this.seeded.sets.isWaiting
    if (reasons[this.view] && isKnown) {
      this.views.show("side")
      this.chooseView("side")
    }
  }

  drawPair(pictures, colours) {
    const named = pictures.map((picture, index) => ({
      ...picture,
      title: this.data.groups[index].title,
    }))
    const paint = (canvas, index, side) => {
      const picture = { ...pictures[index], colour: this.colour(index) }
      const { seq, path, time } = picture.frame.header
      const { view, peak } = picture
      const selected = picture.selected?.text()
      const key = JSON.stringify([index, seq, path, time, side, colours.bg, view, peak, selected])
      if (canvas.key === key) return
      canvas.key = key
      paintCompared(canvas, picture, view, side, colours)
    }
    this.pair.draw(this.view, named, this.pair.element.clientWidth || 640, paint)
  }

  /** The step a picture is of, and where that is not the one looked at. */
  stepWords({ frame, near }, at) {
    const step = near ?? frame?.header.last[0]
    if (step === undefined) return ""
    const isOff = at !== null && near !== undefined && near !== null && near !== at
    return `step ${count(step)}${isOff ? `, nearest to ${count(at)}` : ""}`
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
      .map(({ frame }, index) => ({
        title: groups[index].title,
        frame,
        index,
      }))
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

  /** The columns of a table that are drawn of all that learned the same data; null of no table. */
  columnsAmong(pictures, index) {
    const { groups } = this.data
    const first = pictures.findIndex(
      ({ frame, data }, at) => groups[at].data === groups[index].data && isTable(frame, data),
    )
    if (first < 0) return null
    const { frame, data } = pictures[first]
    if (frame !== this.columnsOf?.frame)
      this.columnsOf = { frame, columns: columnsOf({ frame, data }) }
    return this.columnsOf.columns
  }

  noteScale(pictures) {
    const words = []
    const kinds = pictures.map(({ frame }) => frame?.header.kind)
    if (kinds.includes("field")) words.push("normalised densities, one colour scale")
    if (pictures.some(({ frame, data }) => frame?.header.kind === "points" && data)) {
      words.push("data in grey, one axis")
    }
    if (pictures.some(({ classes }) => classes)) words.push("as many samples of every class")
    const steps = new Set(pictures.map(({ frame }) => frame?.header.last[0]).filter(Boolean))
    if (steps.size > 1) words.push(`of different steps: ${[...steps].map(count).join(", ")}`)
    this.scaleNote.textContent = words.join(" · ")
  }

  /** Held-out or training images beside those of the models, where all learned the same. */
  realImages(pictures) {
    const { groups, bare } = this.data
    const isOne = new Set(groups.map(({ data }) => data)).size === 1
    const picture = pictures.find(({ frame }) => frame?.header.kind === "images")
    return isOne && groups.length > 1 && !bare ? (picture?.data ?? null) : null
  }
}
