import { defineConfig } from 'vitest/config'
import { inlineAssetsVite } from './scripts/assets.mjs'

export default defineConfig({
  plugins: [inlineAssetsVite()],
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/support/every-thread.ts'],
    exclude: ['test/*/node_modules/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 180_000,
    reporters: ['default', './scripts/reporter.ts'],
  },
})
