// The Arena: two sides without names, a vote, then who they were, what they cost and the ranking.

import { drawSide, kindOf, layout, referenceRow } from "./sides.js"
import { joulesInWords, secondsInWords, standings } from "./standings.js"
import { words } from "../cards.js"
import { coloursOf } from "../../parts/colours.js"
import { make, rootOf } from "../../parts/dom.js"
import { count, figure } from "../../parts/formatting.js"
import { belongsElsewhere } from "../../parts/keys.js"
import { unpackAll } from "../../stream/frames.js"

const SIDES = { left: "A", right: "B" }
const KEYS = {
  ArrowLeft: "left",
  ArrowUp: "tie",
  ArrowDown: "bad",
  ArrowRight: "right",
  s: "skip",
  S: "skip",
}
const CHOSEN = { left: "A", right: "B", tie: "a tie", bad: "both bad" }
/** Of a window's height, what stands above and below the pictures. */
const BESIDES = 400
/** Figures of quality, the one to be told first. */
const QUALITY = ["frechet_features", "frechet_pca", "energy_distance"]

export function mount(slot, component) {
  const page = new Arena(slot, component.data)
  return { update: (data) => page.update(data), unmount: () => page.close() }
}

class Arena {
  constructor(slot, data) {
    const { root, unwatch } = rootOf(slot, () => this.draw())
    Object.assign(this, { slot, root, unwatch, data })
    this.sizes = new ResizeObserver(() => this.draw())
    this.sizes.observe(root)
    this.pressed = (event) => this.press(event)
    window.addEventListener("keydown", this.pressed)
    this.next()
  }

  update(data) {
    const isOther = data.arena !== this.data.arena
    this.data = data
    if (isOther) this.next()
  }

  close() {
    this.isClosed = true
    this.sizes.disconnect()
    this.unwatch()
    window.removeEventListener("keydown", this.pressed)
  }

  address(name, more = {}) {
    const query = { arena: this.data.arena, token: this.data.token, ...more }
    return `live/arena/${name}?${new URLSearchParams(query)}`
  }

  /** Ask the server; `body` is posted. Throws with its words. */
  async ask(name, body, more) {
    const options = body ? { method: "POST", body: JSON.stringify(body) } : {}
    const response = await fetch(this.address(name, more), { cache: "no-store", ...options })
    if (!response.ok) throw new Error(await response.text())
    return response
  }

  /** Do one thing at a time; what goes wrong is said where the answers stand. */
  async alone(act) {
    if (this.isBusy) return
    this.isBusy = true
    this.trouble = ""
    try {
      await act()
    } catch (error) {
      this.trouble = error.message
    }
    this.isBusy = false
    if (!this.isClosed) this.draw(true)
  }

  next() {
    return this.alone(async () => {
      const ballot = await (await this.ask("next", {})).json()
      const answer = await this.ask("pictures", null, { ballot: ballot.ballot })
      const [left, right, reference] = unpackAll(await answer.arrayBuffer())
      Object.assign(this, { ballot, frames: { left, right, reference }, revealed: null })
    })
  }

  vote(choice) {
    if (!this.ballot || this.revealed) return
    this.alone(async () => {
      const answer = await this.ask("vote", { ballot: this.ballot.ballot, choice })
      const revealed = await answer.json()
      if (choice !== "skip") this.revealed = revealed
      else this.isSkipped = true
    }).then(() => {
      if (this.isSkipped) this.next()
      this.isSkipped = false
    })
  }

  /** Keep the vote or change it, knowing what is known now, and go on. */
  decide(choice) {
    if (!this.revealed) return
    this.alone(async () => {
      await this.ask("second", { ballot: this.ballot.ballot, choice })
      this.isDecided = true
    }).then(() => {
      if (this.isDecided) this.next()
      this.isDecided = false
    })
  }

  press(event) {
    if (belongsElsewhere(event) || !this.ballot) return
    const choice = KEYS[event.key]
    if (!this.revealed && choice) {
      event.preventDefault()
      this.vote(choice)
    } else if (this.revealed && event.key === "Enter") {
      event.preventDefault()
      this.decide(this.revealed.choice)
    }
  }

  // ------------------------------------------------------------------ drawing

  draw(isNew = false) {
    const width = this.root.clientWidth
    const colours = coloursOf(this.root)
    const key = `${width} ${colours.bg}`
    if (!width || (!isNew && key === this.drawnAs)) return
    this.drawnAs = key
    if (!this.frames) {
      if (this.trouble) this.root.replaceChildren(this.note())
      return
    }
    const parts = [this.progress(), this.pair(width, colours), this.acts()]
    if (this.trouble) parts.push(this.note())
    parts.push(this.revealed ? this.ranking(width, colours) : this.reference(width))
    this.root.replaceChildren(...parts)
    this.slot.style.minHeight = ""
    this.root.dispatchEvent(new CustomEvent("basin:ballot", { bubbles: true }))
  }

  note() {
    return make("div.bl-note.warning", { role: "alert" }, this.trouble)
  }

  progress() {
    const { voted, goal, data, contestants } = this.ballot
    const now = voted + (this.revealed && !this.revealed.void ? 1 : 0)
    const bar = make("div.bl-bar", { role: "progressbar", "aria-label": "Votes of yours" })
    bar.setAttribute("aria-valuenow", String(now))
    bar.setAttribute("aria-valuemax", String(goal))
    const done = make("div")
    done.style.width = `${Math.min(100, (100 * now) / goal)}%`
    bar.append(done)
    const which = this.revealed
      ? `${count(now)} of ${goal} votes`
      : `vote ${count(now + 1)} of ${goal}`
    const hidden = this.revealed ? "" : ", names hidden until you vote"
    return make(
      "div.bl-arena-head",
      {},
      make("span.bl-muted", {}, `${which} · ${data} · ${contestants} contestants${hidden}`),
      bar,
    )
  }

  pair(width, colours) {
    const kind = kindOf(this.frames.left)
    const room = Math.max(220, window.innerHeight - BESIDES)
    const { gap, side, isStacked } = layout(kind, width, room)
    const sides = Object.entries(SIDES).map(([name, letter]) => {
      const canvas = make("canvas", { role: "img" })
      drawSide(canvas, this.frames[name], this.frames.reference, side, colours)
      canvas.setAttribute("aria-label", `Samples ${letter}`)
      const about = `${count(this.ballot.num)} samples`
      const head = make("header", {}, make("b", {}, letter), make("span.bl-muted", {}, about))
      const box = make("section.bl-side", {}, head, canvas)
      box.style.width = canvas.style.width // a grid takes whole multiples of a pixel
      if (this.revealed) box.append(this.contestant(this.revealed[name]))
      return box
    })
    const row = make("div.bl-sides", {}, ...sides)
    row.style.gap = `${gap}px`
    row.style.flexDirection = isStacked ? "column" : "row"
    return row
  }

  contestant(one) {
    const name = one.run ? make("a", { href: `run?id=${one.run}` }, one.name) : one.name
    const parts = [make("h2", {}, name), make("p.bl-muted", {}, one.about)]
    if ("joules" in one) {
      const path = QUALITY.find((name) => `${name}/floor` in one.figures)
      const floor = `floor ${figure(one.figures[`${path}/floor`])}`
      const quality = path ? [[words(path), figure(one.figures[path]), floor]] : []
      const costs = [
        ["joules a sample", joulesInWords(one.joules), one.joules_from],
        ["time a sample", secondsInWords(one.seconds), ""],
        ...quality,
      ]
      const cells = costs.map(([title, value, more]) =>
        make(
          "div",
          {},
          make("span.bl-muted", {}, title),
          make("strong", {}, value),
          make("span.bl-muted", {}, more),
        ),
      )
      parts.push(make("div.bl-costs", {}, ...cells))
    }
    return make("div.bl-contestant", {}, ...parts)
  }

  acts() {
    return make("div.bl-acts", {}, ...(this.revealed ? this.secondActs() : this.firstActs()))
  }

  firstActs() {
    const act = (choice, ...parts) => {
      const button = make("button.bl-button", { type: "button" }, ...parts)
      button.onclick = () => this.vote(choice)
      return button
    }
    const key = (sign) => make("kbd", {}, sign)
    return [
      act("left", key("←"), "A is better"),
      act("tie", key("↑"), "tie"),
      act("bad", key("↓"), "both bad"),
      act("right", "B is better", key("→")),
    ]
  }

  secondActs() {
    const { choice, left, right, void: why } = this.revealed
    const costs = [left, right].some(({ joules }) => joules !== null && joules !== undefined)
    const question = costs ? "Knowing the joules, would you change it?" : "Would you change it?"
    const said = make(
      "span.bl-muted",
      {},
      "You chose ",
      make("b", {}, CHOSEN[choice]),
      `. ${question}`,
    )
    const button = (name, chosen, ...parts) => {
      const element = make(name, { type: "button" }, ...parts)
      element.onclick = () => this.decide(chosen)
      return element
    }
    const others = ["left", "right"]
      .filter((side) => side !== choice)
      .map((side) => button("button.bl-button", side, `Change to ${SIDES[side]}`))
    const keep = button(
      "button.bl-button.primary",
      choice,
      `Keep ${CHOSEN[choice]}, next pair`,
      make("kbd", {}, "Enter"),
    )
    const words = why ? [make("div.bl-note.warning", {}, `This vote does not count. ${why}`)] : []
    return [...words, said, ...others, keep]
  }

  reference(width) {
    const skip = make("button.bl-quiet", { type: "button" }, make("kbd", {}, "S"), " skips")
    skip.onclick = () => this.vote("skip")
    const sides = make("span.bl-muted", {}, "Sides are random. ", skip)
    const parts =
      kindOf(this.frames.left) === "images"
        ? [
            make("span.bl-muted", {}, "the data, for reference"),
            referenceRow(
              this.frames.reference,
              Math.min(width, width > 1000 ? width - 420 : width),
            ),
          ]
        : [make("span.bl-muted", {}, "Grey: the data, for reference.")]
    return make("div.bl-foot", {}, ...parts, sides)
  }

  ranking(width, colours) {
    const files = { CSV: this.address("votes.csv"), JSON: this.address("votes.json") }
    const room = Math.min(width, 980)
    const body = standings(this.revealed.ranking, room, colours, files)
    body.style.maxWidth = `${room}px`
    return make("div.bl-foot", {}, body)
  }
}
