export * from '../json.ts'
