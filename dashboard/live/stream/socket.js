// One connection a page: a WebSocket, or a question twice a second where none can be had. It
// connects again by itself and goes on from where it stood: nothing twice, nothing left out.

import { unpackAll } from "./frames.js"

const FIRST_WAIT = 500
const LONGEST_WAIT = 8000
const REFUSALS = 2
const POLL_EVERY = 500
const TRY_SOCKET_EVERY = 60_000

export class Live {
  /**
   * `handlers`: {message(header), frame({header, arrays}), done() after every message,
   * connection({open, polling, retryIn, reason, isRefused})}.
   */
  constructor(token, handlers) {
    this.token = token
    this.handlers = handlers
    this.runs = []
    /** [last log, last keyframe] by run: how far this page has got */
    this.positions = new Map()
    this.standing = []
    this.asked = new Map()
    this.number = 0
    this.wait = FIRST_WAIT
    this.refused = 0
    this.connect()
  }

  address(path) {
    const address = new URL(path, window.location.href)
    address.searchParams.set("token", this.token)
    return address
  }

  // ------------------------------------------------------------------ the line

  connect() {
    const address = this.address("live/ws")
    address.protocol = address.protocol.replace("http", "ws")
    const socket = new WebSocket(address)
    socket.binaryType = "arraybuffer"
    let opened = false
    socket.onopen = () => {
      opened = true
      this.refused = 0
      clearTimeout(this.polling)
      this.polling = null
      this.page = null
      this.socket = socket
      this.begin((message) => socket.send(JSON.stringify(message)))
      this.opened(false)
    }
    socket.onmessage = ({ data }) => this.receive(data)
    socket.onclose = async () => {
      if (this.closed || (this.polling && !opened)) return
      const canPoll = !opened && ++this.refused >= REFUSALS && (await this.answers())
      if (this.closed) return
      if (canPoll) this.poll()
      else this.lost(() => this.connect())
    }
  }

  /** Ask the server for a sign of life: it may be there where a WebSocket cannot be had. */
  async answers() {
    try {
      return (await fetch("live/health", { cache: "no-store" })).ok
    } catch {
      return false
    }
  }

  begin(send) {
    this.forget()
    this.post = send
    if (this.runs.length) this.sayWatched()
    for (const message of this.standing) send(message)
  }

  /** Say that the line is there: once it has answered, since what is asked may be refused. */
  opened(polling) {
    this.wait = FIRST_WAIT
    this.handlers.connection?.({ open: true, polling })
  }

  /** Give up questions of another line: they are not answered over this one. */
  forget() {
    for (const resolve of this.asked.values()) resolve(null)
    this.asked.clear()
  }

  /** `isRefused`: nothing will change until the page script hands over another token. */
  lost(again, reason = "", isRefused = false) {
    this.post = null
    this.forget()
    this.handlers.connection?.({ open: false, retryIn: this.wait, reason, isRefused })
    this.timer = setTimeout(again, this.wait)
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT)
  }

  /** Ask twice a second, under a name of its own; now and then try a WebSocket again. */
  poll() {
    const digits = crypto.getRandomValues(new Uint8Array(16))
    this.page = Array.from(digits, (digit) => digit.toString(16).padStart(2, "0")).join("")
    this.sayings = []
    this.isHeard = false
    this.polling = setTimeout(() => this.pollOnce(), 0)
    this.tried = performance.now()
    this.begin((message) => this.sayings.push(message))
  }

  async pollOnce() {
    const { page } = this
    const body = JSON.stringify({ page, say: this.sayings.splice(0) })
    const began = performance.now()
    let data = null
    let reason = ""
    let isRefused = false
    try {
      const answer = await fetch(this.address("live/poll"), { method: "POST", body })
      if (answer.ok) data = await answer.arrayBuffer()
      else {
        reason = await answer.text()
        isRefused = answer.status === 403
      }
    } catch {
      reason = ""
    }
    if (this.closed || page !== this.page) return
    if (data === null) {
      // what was on its way is lost: under a new name all goes on from where this page stands
      this.lost(() => this.poll(), reason, isRefused)
      return
    }
    if (!this.isHeard) this.opened(true)
    this.isHeard = true
    this.receive(data)
    this.polling = setTimeout(
      () => this.pollOnce(),
      Math.max(POLL_EVERY - (performance.now() - began), 0),
    )
    if (began - this.tried > TRY_SOCKET_EVERY) {
      this.tried = began
      this.connect()
    }
  }

  // ------------------------------------------------------------------ what comes

  /** Frames for the panels, and answers to what was asked, each a head and the `count` frames after
   * it; over HTTP several messages come as one. */
  receive(data) {
    const frames = unpackAll(data)
    for (let at = 0; at < frames.length; at += 1) {
      if (frames[at] === null) {
        this.sayUnread()
        continue
      }
      const { header } = frames[at]
      const resolve = this.asked.get(header.id)
      // a panel that stumbles over one frame must not cost the page all that came with it
      try {
        if (resolve) {
          this.asked.delete(header.id)
          const failed = header.op === "error"
          const count = failed ? 0 : header.count
          resolve(failed ? null : frames.slice(at + 1, at + 1 + count).filter(Boolean))
          at += count
          if (!failed) continue
        }
        this.handOver(frames[at])
      } catch (error) {
        reportError(error)
      }
    }
    this.handlers.done?.()
  }

  /** Once a page: the rest of what came is drawn. */
  sayUnread() {
    if (this.saidUnread) return
    this.saidUnread = true
    this.handlers.message?.({
      op: "error",
      message: "A part of what came cannot be read; the rest is shown.",
    })
  }

  handOver(frame) {
    const { header } = frame
    if (header.op) {
      if (header.op === "history") this.reached(header.run, 0, header.log, header.whole)
      this.handlers.message?.(header)
    } else {
      const isLog = header.kind === "scalar" || header.kind === "text"
      this.reached(header.run, isLog ? 0 : 1, header.seq)
      this.handlers.frame?.(frame)
    }
  }

  reached(run, part, seq, anew = false) {
    const known = anew ? [-1, -1] : (this.positions.get(run) ?? [-1, -1])
    known[part] = Math.max(known[part], seq)
    this.positions.set(run, known)
  }

  // ------------------------------------------------------------------ what is asked

  send(message) {
    this.post?.(message)
  }

  /** Ask for something that is answered once: frames, or null when it cannot be had. */
  ask(message) {
    if (!this.post) return Promise.resolve(null)
    const id = ++this.number
    return new Promise((resolve) => {
      this.asked.set(id, resolve)
      this.send({ ...message, id })
    })
  }

  /** Watch these runs and no others. */
  watch(runs) {
    for (const run of this.positions.keys()) if (!runs.includes(run)) this.positions.delete(run)
    this.runs = runs
    this.sayWatched()
  }

  sayWatched() {
    const runs = this.runs.map((run) => ({ run, after: this.positions.get(run) ?? null }))
    this.send({ op: "watch", runs })
  }

  /** Have something tick, now and after every new connection: `runs` or `alarms`. */
  follow(op) {
    this.standing.push({ op })
    this.send({ op })
  }

  /** The keyframes that stood at a step. */
  seek(run, step, paths) {
    return this.ask({ op: "seek", run, step, paths })
  }

  /** Curves between two steps at full resolution. */
  range(run, paths, from, to) {
    return this.ask({ op: "range", run, paths, from, to })
  }

  close() {
    this.closed = true
    clearTimeout(this.timer)
    clearTimeout(this.polling)
    this.socket?.close()
  }
}
