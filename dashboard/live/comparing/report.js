// A comparison as one HTML file that opens from disk: pictures, curves and tables within it, a
// slider over the training steps, nothing fetched.

import { plotly } from "../charts/plotly.js"
import { make } from "../parts/dom.js"
import { paintCompared } from "./pictures.js"

const SIDE = 300
const MOST_MOMENTS = 12
const WAIT = 20_000

/** Moves the pictures of one film together; runs in the report, where nothing of this page is. */
const SLIDE = `
for (const slider of document.querySelectorAll("input[type=range]")) {
  const film = slider.closest("section")
  const steps = JSON.parse(slider.dataset.steps)
  const show = () => {
    for (const figure of film.querySelectorAll("figure")) {
      const images = [...figure.querySelectorAll("img")]
      images.forEach((image, place) => (image.hidden = place !== Number(slider.value)))
      figure.querySelector("small").textContent = images[slider.value]?.alt ?? ""
    }
    film.querySelector("output").textContent = "step " + steps[slider.value]
  }
  slider.oninput = show
  show()
}`

const styleOf = ({ bg, text, muted, line, accent, good }) => `
body { margin: 32px auto; max-width: 1200px; padding: 0 24px; background: ${bg}; color: ${text};
  font: 14px/20px "Source Sans 3", "Source Sans Pro", system-ui, sans-serif; }
h1 { font-size: 26px; line-height: 35px; } h2 { font-size: 18px; margin: 32px 0 8px; }
h3 { font-size: 14px; margin: 16px 0 6px; }
p, small, figcaption, output { color: ${muted}; } a { color: ${accent}; }
.row { display: flex; flex-wrap: wrap; gap: 20px; } figure { margin: 0; }
figcaption { max-width: ${SIDE}px; } figcaption b { color: ${text}; }
i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 6px; }
img { max-width: 100%; border-radius: 4px; } svg { max-width: 100%; height: auto; }
input[type=range] { width: min(100%, 480px); accent-color: ${accent}; }
.bl-scale, .bl-legend, .bl-row { display: flex; gap: 8px; align-items: center; color: ${muted}; }
.bl-legend { gap: 24px; margin: 8px 0; } .bl-scale i { width: 96px; height: 9px; }
.bl-card { display: flex; flex-direction: column; gap: 6px; max-width: 460px; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 14px 5px 0; border-bottom: 1px solid ${line}; }
th:first-child, td:first-child { text-align: left; } .best { font-weight: 600; color: ${good}; }
pre { overflow-x: auto; padding: 12px; border: 1px solid ${line}; border-radius: 6px; }`

/** The report of a Compare page, as the text of an HTML file. */
export async function reportOf(page, colours) {
  const { report } = page.data
  const body = [
    make("h1", {}, "Comparison"),
    make("p", {}, `${report.about} Written ${new Date().toLocaleString()}.`),
    ...picturesOf(page, colours),
    ...(await filmOf(page, colours)),
    ...testOf(page, colours),
    ...(await curvesOf(page)),
    ...report.tables.flatMap(tableOf),
    ...specsOf(report.runs),
  ]
  const whole = document.implementation.createHTMLDocument("Comparison")
  whole.documentElement.lang = "en"
  whole.head.prepend(make("meta", { charset: "utf-8" }))
  whole.head.append(
    make("meta", { name: "viewport", content: "width=device-width" }),
    make("style", {}, styleOf(colours)),
  )
  // an address of this server would be asked for where there is none
  whole.body.append(...body, make("script", { textContent: SLIDE }))
  return `<!doctype html>\n${whole.documentElement.outerHTML}`
}

/** Every kind of picture that these models have, side by side at the present. */
function picturesOf(page, colours) {
  return page.offeredNow().flatMap((kind) => {
    const pictures = page.pictures(kind, null)
    const figures = pictures.flatMap((picture, index) => {
      if (!picture.frame) return []
      return [captioned(page, index, imageOf(page, picture, index, colours), picture.step)]
    })
    if (!figures.length) return []
    const real = page.realImages(pictures)
    if (real) figures.push(plain("Real images", paint({ frame: real, peak: 1 }, null, colours)))
    const title = page.kindWords(kind)
    return [make("section", {}, make("h2", {}, title), make("div.row", {}, ...figures))]
  })
}

/** What is drawn now, at moments of training, with one slider. */
async function filmOf(page, colours) {
  const { kind } = page
  const all = page.past.moments.steps(page.runsDrawn(), kind)
  if (all.length < 2) return []
  const num = Math.min(MOST_MOMENTS, all.length)
  const steps = Array.from(
    { length: num },
    (_, place) => all[Math.round((place * (all.length - 1)) / (num - 1))],
  )
  const films = page.data.groups.map(() => [])
  for (const step of steps) {
    await page.past.moments.whole(page.runsDrawn(), kind, step)
    page.pictures(kind, step).forEach((picture, index) => {
      if (!picture.frame) return
      const image = imageOf(page, picture, index, colours)
      image.alt = picture.step
      image.hidden = films[index].length > 0
      films[index].push(image)
    })
  }
  const figures = films.flatMap((images, index) =>
    images.length ? [captioned(page, index, images, images[0].alt)] : [],
  )
  const slider = make("input", { type: "range", min: 0, max: num - 1 })
  slider.setAttribute("value", num - 1)
  slider.setAttribute("aria-label", "Training step")
  slider.dataset.steps = JSON.stringify(steps)
  const title = page.kindWords(kind)
  return [
    make(
      "section",
      {},
      make("h2", {}, `${title} while they trained`),
      make("p", {}, slider, " ", make("output", {}, "")),
      make("div.row", {}, ...figures),
    ),
  ]
}

/** The test of two runs, where one was made. */
function testOf(page, colours) {
  const contents = page.pairTest.contents(colours)
  if (!contents.length) return []
  const section = make("section", {}, make("h2", {}, "Do they differ?"), ...contents)
  for (const canvas of section.querySelectorAll("canvas")) {
    const image = make("img", { src: canvas.toDataURL("image/png"), alt: canvas.ariaLabel })
    image.width = Math.round(parseFloat(canvas.style.width))
    canvas.replaceWith(image)
  }
  section.querySelector(".bl-cards").className = "row"
  return [section]
}

function imageOf(page, picture, index, colours) {
  return paint({ ...picture, colour: page.colour(index) }, picture.view, colours)
}

function paint(picture, view, colours) {
  const canvas = make("canvas")
  paintCompared(canvas, picture, view, SIDE, colours)
  const width = Math.round(parseFloat(canvas.style.width) || SIDE)
  return make("img", { src: canvas.toDataURL("image/png"), width, alt: "" })
}

function captioned(page, index, images, words) {
  const mark = make("i")
  mark.style.background = page.colour(index)
  const name = make("b", {}, page.data.groups[index].title)
  const caption = make("figcaption", {}, mark, name, make("br"), make("small", {}, words))
  return make("figure", {}, caption, ...[images].flat())
}

function plain(title, image) {
  image.alt = title
  return make("figure", {}, make("figcaption", {}, make("b", {}, title), make("br"), "data"), image)
}

/** The charts of the page, those out of sight too. */
async function curvesOf(page) {
  const { board } = page
  if (page.isOfSets || !board.charts.size) return []
  await Promise.race([plotly(), new Promise((resolve) => setTimeout(resolve, WAIT))])
  const figures = []
  for (const chart of board.charts.values()) {
    chart.visible = true
    chart.draw()
    if (!chart.made) continue
    const { svg } = await chart.figure()
    const parsed = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement
    parsed.setAttribute("role", "img")
    parsed.setAttribute("aria-label", chart.about.title)
    figures.push(parsed)
  }
  return [make("section", {}, make("h2", {}, "Curves"), make("div.row", {}, ...figures))]
}

/** {title, head, rows, note}: cells {text, best}. */
function tableOf({ title, head, rows, note }) {
  const cells = (row) =>
    row.map(({ text, best }) => make(best ? "td.best" : "td", {}, best ? `${text} (best)` : text))
  const table = make(
    "table",
    {},
    make("thead", {}, make("tr", {}, ...head.map((word) => make("th", {}, word)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...cells(row)))),
  )
  return [make("h2", {}, title), make("div.wide", {}, table), make("p", {}, note ?? "")]
}

/** The spec of each run: what makes it again. */
function specsOf(runs) {
  const parts = runs.map(({ title, id, spec }) =>
    make("details", {}, make("summary", {}, `${title} (${id})`), make("pre", {}, spec)),
  )
  return [
    make("h2", {}, "Specs"),
    make("p", {}, "basin run SPEC.yaml makes a run again."),
    ...parts,
  ]
}
