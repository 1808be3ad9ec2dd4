// Lints src, test, bench, scripts. assembly/ is covered by others: asc checks its types, scripts/prettier-assembly.mjs lets Prettier format it
// (no ESLint parser takes decorators on functions), and test/house.test.ts holds its imports and instructions to the design.
import js from '@eslint/js'
import tseslint from 'typescript-eslint'

const hostGlobals = Object.fromEntries(Object.getOwnPropertyNames(globalThis).map((name) => [name, 'readonly']))

export default tseslint.config(
  {
    ignores: [
      'build/',
      'bench/peak/peak.ts',
      'bench/retrieval/read.ts',
      'test/support/math-entry.ts',
      'dist/',
      '**/.cache/',
      'test/golden/',
      'assembly/',
      '!assembly/abi.ts',
    ],
  },
  js.configs.recommended,
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      // noUncheckedIndexedAccess makes `!` the way to say that an index is in range.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Words of a plan are plain numbers, compared with the const enums of the abi.
      '@typescript-eslint/no-unsafe-enum-comparison': 'off',
      // Flags every table of functions written in method shorthand.
      '@typescript-eslint/unbound-method': 'off',
      // An async signature is often the contract of an interface.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrors: 'none' }],
    },
  },
  {
    // Golden files and wasm exports come in untyped.
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    rules: Object.fromEntries(
      ['argument', 'assignment', 'call', 'member-access', 'return'].map((use) => [`@typescript-eslint/no-unsafe-${use}`, 'off']),
    ),
  },
  { files: ['**/*.mjs', '**/*.js'], languageOptions: { globals: hostGlobals } },
  {
    files: ['examples/**/*.js'],
    languageOptions: {
      globals: Object.fromEntries(
        [
          ...['Bun', 'Deno', 'Worker', 'addEventListener', 'caches', 'clients', 'document', 'location', 'navigator', 'postMessage'],
          'skipWaiting',
        ].map((name) => [name, 'readonly']),
      ),
    },
  },
  {
    rules: {
      eqeqeq: 'error',
      'prefer-const': 'error',
      'no-var': 'error',
      'object-shorthand': 'error',
      'no-empty': ['error', { allowEmptyCatch: false }],
    },
  },
)
