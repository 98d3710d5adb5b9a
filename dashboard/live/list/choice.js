// What is chosen of the list: search, filters, columns, order, folding; kept in the address.

import { keepInAddress } from "../parts/dom.js"
import { DEFAULT } from "./columns.js"
import { addressOf, FILTERS, parsed, written } from "./filters.js"

export class Choice {
  /** `query`: an address's, or a saved view's. */
  constructor(query) {
    const asked = new URLSearchParams(query)
    this.search = asked.get("search") ?? ""
    this.filters = {}
    for (const name of Object.keys(FILTERS)) this.filters[name] = parsed(asked.get(addressOf(name)))
    const sort = asked.get("sort") ?? ""
    this.descending = sort.startsWith("-")
    this.sorted = sort.replace(/^-/, "")
    this.columns = asked.has("cols") ? [...parsed(asked.get("cols"))] : [...DEFAULT]
    this.fold = asked.get("fold") !== "nothing"
  }

  /** By name in the address: the text, "" for what is as at first. */
  parameters() {
    const filters = Object.entries(this.filters).map(([n, values]) => [
      addressOf(n),
      written(values),
    ])
    return {
      search: this.search,
      ...Object.fromEntries(filters),
      sort: this.sorted && `${this.descending ? "-" : ""}${this.sorted}`,
      cols: this.columns.join() === DEFAULT.join() ? "" : written(this.columns),
      fold: this.fold ? "" : "nothing",
    }
  }

  query() {
    const set = Object.entries(this.parameters()).filter(([, value]) => value)
    return new URLSearchParams(set).toString()
  }

  keep() {
    for (const [name, value] of Object.entries(this.parameters()))
      keepInAddress(name, value || null)
  }
}
