declare module '*/assets.mjs' {
  import type { Plugin } from 'vite'
  export function inlineAssetsVite(): Plugin
  export function inlineAssets(): import('esbuild').Plugin
}

declare module '*/table.mjs' {
  export function shuffled(length: number, seed: number): number[]
}
