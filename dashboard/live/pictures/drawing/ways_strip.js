// Ways from a start to a prediction, one a row: the same places in a row stand under one name.

import { make } from "../../parts/dom.js"
import { figure } from "../../parts/formatting.js"
import { imageOf } from "./images.js"

/** A strip of an Images frame with named columns; under each image its energy, if it has one. */
export function stripOf({ header, arrays }) {
  const { columns, rows: names = [] } = header.meta
  const energies = arrays.energies?.data
  const corner = names.length ? [make("td")] : []
  const head = [...corner, ...columns.map((name) => make("th", { scope: "col" }, name))]
  const num = Math.floor(arrays.pixels.shape[0] / columns.length)
  const rows = Array.from({ length: num }, (_, row) =>
    make(
      "tr",
      {},
      ...(names.length ? [make("th", { scope: "row" }, names[row])] : []),
      ...columns.map((name, column) => {
        const place = row * columns.length + column
        const image = imageOf({ header, arrays }, place)
        image.setAttribute("role", "img")
        image.setAttribute("aria-label", `${names[row] ?? `Way ${row + 1}`}, ${name}`)
        const under = energies ? [make("span.bl-muted", {}, figure(energies[place]))] : []
        return make("td", {}, image, ...under)
      }),
    ),
  )
  const table = make(
    "table.bl-ways-strip",
    {},
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows),
  )
  table.style.setProperty("--num", columns.length + (names.length ? 3 : 1))
  table.classList.toggle("bl-ends-in-truth", columns.at(-1) === "truth")
  return make("div.bl-scroll", {}, table)
}
