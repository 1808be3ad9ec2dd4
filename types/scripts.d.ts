declare module '*/assets.mjs' {
  import type { Plugin } from 'vite'
  export function inlineAssetsVite(): Plugin
  export function inlineAssets(): import('esbuild').Plugin
}
