"""Live element: a Streamlit component that shows one module of `dashboard/live/`.

A module exports `mount(slot, component)`, which returns `{update(data), unmount()}`. Python sends
ids and settings only, never points: those come over the page's WebSocket.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import streamlit as st

from dashboard.security import access

_LOADER = """
const panels = new WeakMap()
// shell.js says where; a page that Streamlit served by itself has none
const base = () => window.basinLive ?? new URL("live/static/", window.location.href).href

// before anything is drawn: what is laid out without it jumps
function styled() {
  return new Promise((resolve) => {
    let link = document.getElementById("basin-live-css")
    if (link?.sheet) return resolve()
    if (!link) {
      const href = `${base()}live.css`
      link = document.createElement("link")
      Object.assign(link, { id: "basin-live-css", rel: "stylesheet", href })
      document.head.append(link)
    }
    link.addEventListener("load", resolve)
    link.addEventListener("error", resolve)
  })
}

export default function (given) {
  const { parentElement } = given
  const data = JSON.parse(given.data.json)
  const component = { ...given, data }
  const slot = parentElement.querySelector(".basin-live")
  slot.style.minHeight = `${data.height}px`
  if (!panels.has(slot)) {
    // it takes a second to get ready: beside the rest on pages of curves, in idle time on others
    const here = (name) => `${base()}${name}.js`
    import(here("parts/field_keys"))
    const ready = () => import(here("charts/plotly")).then(({ plotly }) => plotly())
    if (["run", "compare", "lab"].includes(data.module)) ready()
    else if (data.module !== "list/head") setTimeout(() => requestIdleCallback(ready), 4000)
    const opened = Promise.all([import(here(data.module)), styled()]).then(([module]) =>
      module.mount(slot, component))
    opened.catch((error) => {
      slot.textContent = `This panel could not be loaded: ${error.message}. Load the page again.`
    })
    panels.set(slot, opened)
  } else {
    panels.get(slot).then((panel) => panel.update(data, component))
  }
  return () => {
    panels.get(slot)?.then((panel) => panel.unmount())
    panels.delete(slot)
  }
}
"""
_HTML = '<div class="basin-live"></div>'


@cache
def _element(module: str) -> Any:
    return st.components.v2.component(
        f"basin_{module.replace('/', '_')}", html=_HTML, js=_LOADER, isolate_styles=False
    )


def live_element(module: str, *, key: str, height: int, **data: Any) -> Any:
    """Show a module; returns the component's result.

    height: pixels kept free before the first data. data: JSON, `on_NAME_change` callbacks for what
    the module reports by `setTriggerValue` or `setStateValue`.
    """
    callbacks = {name: data.pop(name) for name in list(data) if name.startswith("on_")}
    arguments = {"module": module, "height": height, "token": access.issue(), **data}
    # As text: in lists and mappings Streamlit looks for tables, with 45 MB of pandas.
    text = {"json": json.dumps(arguments)}
    return _element(module)(key=key, data=text, height="content", **callbacks)
