// Samples that several models drew from the same numbers, and sample sets that a link names.

import { afterDialogs, fromAddress, keepInAddress } from "../parts/dom.js"
import { DrawnSets } from "./drawn_sets.js"
import { SeedRow } from "./seed_row.js"
import { classesOf } from "./selecting/classes.js"
import { Selection } from "./selecting/selection.js"
import { SelectionRow } from "./selecting/selection_row.js"

/** Samples drawn for this page: the kind of picture that they are. */
export const ONE_SEED = "one_seed"

/** Images of a set that a grid shows, and of those by class. */
const [MOST_CELLS, MOST_BY_CLASS] = [64, 100]

/** What tells a group from others: its set, or the first of its runs. */
export const keyOf = (group) => group.set || group.runs[0]

export class Seeded {
  /** `page`: it has `data`, `component`, `painter`, `runOf(group)` and `runsDrawn()`. */
  constructor(page) {
    this.page = page
    this.sets = new DrawnSets(() => this.read())
    this.row = new SeedRow((question) => this.ask(question))
    this.selection = new Selection(fromAddress("picked"), () => {
      keepInAddress("picked", this.selection.text())
      page.painter.ask()
    })
    this.selected = new SelectionRow(this.selection, () => this.numShared())
  }

  /** Follow what is drawn of each group. */
  read() {
    const { drawn, token } = this.page.data
    const ids = Object.values(drawn?.sets ?? {})
    this.sets.token = token
    if (ids.join() !== this.followed) {
      this.followed = ids.join()
      this.sets.follow(ids, token)
    }
    const sets = ids.map((id) => this.sets.get(id))
    this.row.show(drawn, sets)
    this.page.painter.ask()
    // figures and report are written where the page's script runs
    if (!ids.length || drawn.settled || this.sets.isWaiting || this.settled === this.followed) {
      return
    }
    this.settled = this.followed
    afterDialogs(() => this.page.component.setTriggerValue("settled", this.followed))
  }

  /** Ask for samples of the runs that are drawn, from the same numbers. */
  ask({ seed, steps, each_class }) {
    const runs = this.page.runsDrawn()
    keepInAddress("draw_seed", seed)
    keepInAddress("draw_steps", steps)
    keepInAddress("draw_classes", each_class ? "each" : null)
    keepInAddress("seeds", runs.join(","))
    this.followed = null
    this.settled = null
    this.page.component.setTriggerValue("draw", { seed, steps, each_class, runs })
  }

  /** Draw of another run what was drawn of the one it takes the place of. */
  askAgain() {
    const { drawn } = this.page.data
    if (drawn && drawn.seed !== null) this.ask(drawn)
  }

  /** The set of a group, as far as it is: {state, reason, frames, ...}; undefined where none is. */
  setOf(group) {
    const { sets = {} } = this.page.data.drawn ?? {}
    return this.sets.get(sets[group.set || this.page.runOf(group)])
  }

  /** What a group has to show: {frame, data, nearest, words, set}, `words` where it has no frame. */
  pictureOf(group, data) {
    const { failed = {} } = this.page.data.drawn ?? {}
    const set = this.setOf(group)
    const of = (path) => set?.frames?.find(({ header }) => header.path === path)
    const reason = failed[this.page.runOf(group)] ?? (set?.state === "failed" ? set.reason : "")
    const nothing = "Its events have no picture: `basin samples show` has their figures."
    const words = reason || (!set ? "Not drawn yet." : set.frames ? nothing : "Being drawn.")
    const frames = { frame: of("samples"), data: of("held_out") ?? data, nearest: of("nearest") }
    const classes = this.page.view === "classes" ? classesOf(set) : null
    return { ...frames, words, set, classes, selected: this.selection }
  }

  /** How many samples every picture has, at the same places. */
  numShared() {
    const most = this.page.view === "classes" ? MOST_BY_CLASS : MOST_CELLS
    const frames = this.page.data.groups.map((group) => this.pictureOf(group).frame)
    const nums = frames
      .filter(Boolean)
      .map(({ header, arrays }) =>
        header.kind === "images"
          ? Math.min(arrays.pixels.shape[0], most)
          : arrays.positions.shape[0],
      )
    return nums.length ? Math.min(...nums) : 0
  }

  /** True where samples of each class in turn are here, of any group. */
  get hasClasses() {
    return this.page.data.groups.some((group) => classesOf(this.setOf(group)))
  }

  /** Show what can be selected, and what is, of pictures [{frame, nearest}]; none of other kinds. */
  showSelection(pictures) {
    const { groups } = this.page.data
    this.selected.element.hidden = !pictures.some(({ frame }) => frame)
    this.selected.show(pictures.map((each, at) => ({ ...each, title: groups[at].title })))
  }

  /** Keys that go through the samples. */
  acts() {
    const go = (by) => (event) => this.selection.move(by, this.numShared(), event.shiftKey)
    return { ArrowLeft: go(-1), ArrowRight: go(1), Escape: () => this.selection.clear() }
  }

  close() {
    this.sets.close()
  }
}
