// What few calls need, in one piece that is loaded when one of them does.
export { readAdapter, saveAdapter, saveAsAdapter } from './adapter-files.ts'
export { adapt, adaptWeightless, loadAdapted } from './adapters.ts'
export { attentionInputs } from './attentions.ts'
export { mixed } from './adapter-batch.ts'
export { merge, mergedModel, unmerge } from './adapter-merge.ts'
export { estimate } from './estimate.ts'
export { resizeVocabulary } from './resize.ts'
export { openSink, saveFiles, saveModel } from './save.ts'
