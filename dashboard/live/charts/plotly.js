// Plotly, from its own wheel by way of this server. It is large: what needs it asks for it early.

let loading = null

/** The library, loaded once a page. */
export function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script")
    script.src = new URL("live/plotly.js", window.location.href).href
    script.onload = () => resolve(window.Plotly)
    script.onerror = () => reject(new Error("Plotly could not be loaded"))
    document.head.append(script)
  })
  return loading
}
