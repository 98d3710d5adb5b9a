// All that is drawn of a run's frames: its picture, its energies, a method's own, and tables.

import { make } from "../parts/dom.js"
import { canvasWays, exporter, save } from "../parts/export.js"
import { tableOf } from "../parts/table.js"
import { csvOf } from "../stream/frame_csv.js"
import { ExtraPictures } from "./extra_pictures.js"
import { EnergyHistogram } from "./histogram.js"
import { hasGrids, ImageGrids, LandscapePicture } from "./main_picture.js"

const TABLES = { "quality/final": "Final figures", "chains/diagnostics": "Chains" }
/** Paths of frames that come once, at the start. */
const FIXED = ["samples/data", "landscape/truth"]

export class RunPictures {
  /** `top`: the picture beside the energies and `beside`, an element; `more` and `tables` go below. */
  constructor(root, beside) {
    this.waiting = make("div.bl-empty", { textContent: "Waiting for the first points…" })
    this.picture = make("div.bl-hero", {}, this.waiting)
    const ways = canvasWays(root, () => `energies-step-${this.histogram.frame.header.last[0]}`, {
      size: () => [this.histogram.width, this.histogram.height],
      draw: (context, width) => this.histogram.render(context, width),
      csv: () => csvOf(this.histogram.frame),
    })
    const about = "of data, model samples and noise · lower is likelier"
    this.energies = make(
      "section.bl-panel",
      {},
      make("header", {}, make("h3", {}, "Energy"), make("span.bl-muted", {}, about), ways),
    )
    this.histogram = new EnergyHistogram(this.energies)
    this.side = make("div.bl-side", {}, this.energies, beside)
    this.top = make("div.bl-top", {}, this.picture, this.side)
    this.more = new ExtraPictures()
    this.tables = make("div")
  }

  close() {
    this.hero?.close()
    this.histogram.close()
  }

  recolour(colours) {
    this.hero?.recolour(colours)
    this.histogram.draw()
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
    this.more.show(frames)
    this.showTables(frames)
  }

  /** Make room for what there is; what a run does not have leaves none. */
  arrange(frames, isOver) {
    const hasImages = hasGrids(frames)
    const hasPicture = hasImages || Boolean(frames["landscape/model"])
    const hasEnergies = Boolean(frames["energy/histogram"])
    if (!this.hero && hasPicture) {
      this.picture.replaceChildren()
      this.hero = new (hasImages ? ImageGrids : LandscapePicture)(this.picture)
    } else if (!this.hero && hasEnergies) {
      this.wait(
        "These events are neither images nor points in the plane: there is no landscape to draw. " +
          "Their energies and curves are beside this.",
      )
    }
    const isKnown = isOver || Object.keys(frames).some((path) => !FIXED.includes(path))
    this.energies.hidden = isKnown && !hasEnergies
    this.picture.hidden = isKnown && !this.hero && !hasEnergies
    const isWide = hasImages || this.picture.hidden
    this.top.style.gridTemplateColumns = isWide ? "minmax(0, 1fr)" : ""
    this.side.classList.toggle("below", hasImages)
  }

  showTables(frames) {
    const present = Object.entries(TABLES).filter(([path]) => frames[path])
    const key = present.map(([path]) => frames[path].header.seq).join()
    if (key === this.tabled) return
    this.tabled = key
    this.tables.replaceChildren(
      ...present.map(([path, title]) => {
        const csv = () => save(`${path.replace("/", "-")}.csv`, csvOf(frames[path]), "text/csv")
        const { columns, rows } = frames[path].header.meta
        const head = make("header", {}, make("h3", {}, title), exporter({ csv }))
        return make("section.bl-panel", {}, head, tableOf(columns, rows))
      }),
    )
  }
}

/** Of frames by path, what never changes: it stays when looking back at a moment before it. */
export function fixedOf(frames) {
  return Object.fromEntries(Object.entries(frames).filter(([path]) => FIXED.includes(path)))
}
