// What the bundler inlines: wasm as bytes (or, where those cannot be compiled, a module), the worker as source text.
declare module '*.wasm' {
  const code: Uint8Array<ArrayBuffer> | WebAssembly.Module
  export default code
}
declare module '*?inline' {
  const source: string
  export default source
}
