declare module '*/assets.mjs' {
  import type { Plugin } from 'vite'
  export function inlineAssetsVite(): Plugin
  export function inlineAssets(): import('esbuild').Plugin
  export function staticModules(suffix?: string): import('esbuild').Plugin
  export function unshared(bytes: Uint8Array): Uint8Array
  export function whole(name: string): string
}

declare module '*/table.mjs' {
  export function shuffled(length: number, seed: number): number[]
}

declare module '*/code.mjs' {
  export function textOf(bytes: Uint8Array): string
  export function changesOf(base: Uint8Array, bytes: Uint8Array): Uint8Array
}

declare module '*/names.mjs' {
  export function namedSentences(text: string): { words: string[]; tags: string[] }[][]
}

declare module '*/models.mjs' {
  export const QUANTIZED: string
  export function prepare(model: string, folder: string, sentence: (text: string) => void): Promise<void>
}
