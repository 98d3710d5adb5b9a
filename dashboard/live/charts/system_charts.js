// What a run took of its machine, folded away under its curves and on their axis.

import { fromAddress, keepInAddress, make } from "../parts/dom.js"

const ROOM = "system/"

/** True for a path of the machine's: such curves stand apart, and say nothing of what is learned. */
export const isOfSystem = (path) => path.startsWith(ROOM)

export class SystemCharts {
  constructor(board) {
    this.board = board
    this.paths = []
    this.grid = make("div.bl-charts")
    this.slot = make(
      "details.bl-system",
      { hidden: true, open: fromAddress("system") === "open" },
      make("summary", {}, "System"),
      this.grid,
    )
    this.slot.ontoggle = () => {
      keepInAddress("system", this.slot.open ? "open" : null)
      this.unfold()
    }
  }

  /** Charts that can be drawn now; they are made once somebody looks. */
  offer(paths) {
    if (paths.length === this.paths.length) return
    this.paths = paths
    this.slot.hidden = !paths.length
    this.unfold()
  }

  unfold() {
    const { board } = this
    if (this.slot.open) for (const path of this.paths) board.addChart(path, this.grid)
    else {
      for (const path of [...board.charts.keys()].filter(isOfSystem)) {
        board.charts.get(path).close()
        board.charts.delete(path)
      }
    }
    board.change()
  }
}
