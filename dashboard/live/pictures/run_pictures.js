// All that is drawn of a run's frames: its picture, its energies, a method's own, and tables.

import { make } from "../parts/dom.js"
import { canvasWays, exporter, save } from "../parts/figures/export.js"
import { runName } from "../parts/figures/figure.js"
import { tableOf } from "../parts/table.js"
import { csvOf } from "../stream/frame_csv.js"
import { words } from "./cards.js"
import { ExtraPictures, FirstPictures, hasPredictions } from "./extra_pictures.js"
import { EnergyHistogram } from "./histogram.js"
import { ColumnMarginals } from "./column_marginals.js"
import { AttackedImages } from "./drawing/attacked.js"
import { hasGrids, ImageGrids } from "./image_grids.js"
import { LandscapePicture } from "./landscape_picture.js"
import { tableFrames, TablePicture } from "./table_picture.js"

const TABLES = ["quality/final", "chains/diagnostics"]
/** Paths of what is predicted that tell moments of a run apart, the most telling first. */
export const PREDICTED = [
  "future/landscape",
  "inner/ways",
  "prediction/text",
  "future/probabilities",
  "prediction/predicted",
]
/** Paths of frames that come once, at the start. */
const FIXED = ["samples/data", "landscape/truth", "principal/data"]

export class RunPictures {
  /**
   * `top`: the picture beside the energies and `beside`, an element; `columns`, `more` and `tables`
   * go below. `earlier(paths, most)` fetches frames of earlier moments, oldest first.
   */
  constructor(root, beside, earlier) {
    this.earlier = earlier
    this.waiting = make("div.bl-empty", { textContent: "Waiting for the first points…" })
    this.picture = make("div.bl-hero", {}, this.waiting)
    const ways = canvasWays(root, () => `energies-step-${this.histogram.frame.header.last[0]}`, {
      size: () => [this.histogram.width, this.histogram.height],
      draw: (context, width) => this.histogram.render(context, width),
      words: () => ({ title: "Energy", about: `${runName()}, step ${this.histogram.step}` }),
      csv: () => csvOf(this.histogram.frame),
    })
    const about = "lower is likelier"
    this.energies = make(
      "section.bl-panel",
      {},
      make("header", {}, make("h2", {}, "Energy"), make("span.bl-muted", {}, about), ways),
    )
    this.histogram = new EnergyHistogram(this.energies)
    this.side = make("div.bl-side", {}, this.energies, beside)
    this.top = make("div.bl-top", {}, this.picture, this.side)
    this.columns = new ColumnMarginals()
    this.attacked = new AttackedImages()
    this.more = new ExtraPictures()
    this.tables = make("div")
  }

  close() {
    this.hero?.close()
    this.columns.close()
    this.histogram.close()
  }

  recolour(colours) {
    this.hero?.recolour(colours)
    this.histogram.draw()
    this.columns.recolour()
    this.attacked.recolour()
    this.more.recolour()
  }

  /** True while the place of the picture holds words. */
  get isWaiting() {
    return !this.hero && !this.picture.hidden
  }

  /** Say in the place of the picture why there is none yet. */
  wait(words) {
    this.waiting.textContent = words
  }

  /** Draw frames by path, of now or of an earlier moment. */
  show(frames, isOver) {
    this.arrange(frames, isOver)
    this.hero?.show(frames)
    this.histogram.show(frames["energy/histogram"])
    const isTable = this.hero instanceof TablePicture
    this.columns.show(isTable ? tableFrames(frames) : null)
    this.attacked.show(frames)
    this.more.show(frames, isTable)
    this.showTables(frames)
  }

  /** Make room for what there is; what a run does not have leaves none. */
  arrange(frames, isOver) {
    const hasImages = hasGrids(frames)
    const hasEnergies = Boolean(frames["energy/histogram"])
    const Picture = pictureOf(frames, hasImages)
    // a landscape may come after the points it belongs to
    const isLate =
      (Picture === LandscapePicture && this.hero instanceof TablePicture) ||
      (Picture === FirstPictures && !(this.hero instanceof FirstPictures))
    if (Picture && (!this.hero || isLate)) {
      this.hero?.close()
      this.picture.replaceChildren()
      this.hero = new Picture(this.picture, this.earlier)
    } else if (!this.hero && hasEnergies) {
      this.wait("These events are neither images nor points: their energies are beside this.")
    }
    const isKnown = isOver || Object.keys(frames).some((path) => !FIXED.includes(path))
    this.energies.hidden = isKnown && !hasEnergies
    this.picture.hidden = isKnown && !this.hero && !hasEnergies
    const isBroad = hasImages || this.hero instanceof FirstPictures
    const isWide = isBroad || this.picture.hidden
    this.top.style.gridTemplateColumns = isWide ? "minmax(0, 1fr)" : ""
    this.side.classList.toggle("below", isBroad)
  }

  showTables(frames) {
    const present = TABLES.filter((path) => frames[path])
    const key = present.map((path) => frames[path].header.seq).join()
    if (key === this.tabled) return
    this.tabled = key
    this.tables.replaceChildren(
      ...present.map((path) => {
        const csv = () => save(`${path.replace("/", "-")}.csv`, csvOf(frames[path]), "text/csv")
        const { columns, rows } = frames[path].header.meta
        const head = make("header", {}, make("h2", {}, words(path)), exporter({ csv }))
        return make("section.bl-panel", {}, head, tableOf(columns, rows))
      }),
    )
  }
}

/** The class that draws the picture of these frames, if any. */
function pictureOf(frames, hasImages) {
  if (hasPredictions(frames)) return FirstPictures
  if (hasImages) return ImageGrids
  if (frames["landscape/model"]) return LandscapePicture
  const hasMore = Object.keys(frames).some((path) => !FIXED.includes(path))
  return hasMore && tableFrames(frames) ? TablePicture : null
}

/** Of frames by path, what never changes: it stays when looking back at a moment before it. */
export function fixedOf(frames) {
  return Object.fromEntries(Object.entries(frames).filter(([path]) => FIXED.includes(path)))
}
