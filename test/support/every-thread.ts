// For all tests: models are tiny here, and yet every thread that is asked for runs.
import { COSTS } from '../../src/graph/work.ts'

Object.assign(COSTS, { wake: 0, meeting: 0 })
