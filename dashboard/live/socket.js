// One WebSocket a page. It connects again by itself and then asks anew for what it watched:
// the server sends the whole history again, which replaces what was held.

import { unpack } from "./frames.js"

const FIRST_WAIT = 500
const LONGEST_WAIT = 8000

export class Live {
  /** `handlers`: {message(object), frame({header, arrays}), connection({open, retryIn})}. */
  constructor(token, handlers) {
    this.token = token
    this.handlers = handlers
    this.runs = []
    this.wantsRuns = false
    this.wait = FIRST_WAIT
    this.closed = false
    this.connect()
  }

  connect() {
    const address = new URL("/live/ws", window.location.href)
    address.protocol = address.protocol.replace("http", "ws")
    address.searchParams.set("token", this.token)
    this.socket = new WebSocket(address)
    this.socket.binaryType = "arraybuffer"
    this.socket.onopen = () => {
      this.wait = FIRST_WAIT
      this.handlers.connection?.({ open: true })
      if (this.runs.length) this.send({ op: "watch", runs: this.runs.map((run) => ({ run })) })
      if (this.wantsRuns) this.send({ op: "runs" })
    }
    this.socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.handlers.message?.(JSON.parse(data))
      else this.handlers.frame?.(unpack(data))
    }
    this.socket.onclose = () => {
      if (this.closed) return
      this.handlers.connection?.({ open: false, retryIn: this.wait })
      this.timer = setTimeout(() => this.connect(), this.wait)
      this.wait = Math.min(this.wait * 2, LONGEST_WAIT)
    }
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message))
  }

  /** Watch these runs and no others. */
  watch(runs) {
    this.runs = runs
    this.send({ op: "watch", runs: runs.map((run) => ({ run })) })
  }

  /** Have the status of all runs tick. */
  list() {
    this.wantsRuns = true
    this.send({ op: "runs" })
  }

  seek(run, step, paths) {
    this.send({ op: "seek", run, step, paths })
  }

  range(run, paths, from, to) {
    this.send({ op: "range", run, paths, from, to })
  }

  close() {
    this.closed = true
    clearTimeout(this.timer)
    this.socket.close()
  }
}
