// What few calls need, in one piece that is loaded when one of them does.
export { estimate } from './estimate.ts'
export { resizeVocabulary } from './resize.ts'
export { saveFiles, saveModel } from './save.ts'
