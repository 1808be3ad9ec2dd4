// Tasks that look at the words of a text, in one piece.
export { FillMaskPipeline } from './fill-mask.ts'
export { QuestionAnsweringPipeline } from './question-answering.ts'
export { TokenClassificationPipeline } from './token-classification.ts'
