// What the bundler inlines: wasm as bytes, the worker as source text.
declare module '*.wasm' {
  const bytes: Uint8Array<ArrayBuffer>
  export default bytes
}
declare module '*?inline' {
  const source: string
  export default source
}
