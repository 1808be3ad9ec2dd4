// bertlet/data: labelled files as data sets, and what is measured of them. Nothing here knows a platform.
export type { DataInput, RandomAccess } from './data/input.ts'
export { readRows, TABLE_FORMATS, type Row, type TableFormat } from './data/rows.ts'
export { readExamples, type ColumnOptions, type Example, type Examples } from './data/examples.ts'
export { classesOf, conflicts, labelling, SCORES, type Labelling } from './data/class-labels.ts'
export { longest, textFeatures, type TextFeatureOptions } from './data/text-features.ts'
export {
  GLUE,
  GLUE_TASKS,
  glueLabels,
  glueMetrics,
  glueSubmission,
  readGlue,
  type GlueInfo,
  type GlueTask,
  type GlueTest,
} from './data/glue.ts'
export { readSquad, type SquadAnswer, type SquadQuestion } from './data/squad.ts'
export { SquadFeatures, type SquadFeatureOptions, type SquadWindow } from './data/squad-features.ts'
export {
  squadAnswers,
  squadComputeMetrics,
  type SquadAnswerOptions,
  type SquadCandidate,
  type SquadLogits,
  type SquadPrediction,
} from './data/squad-answers.ts'
export {
  answerF1,
  exactMatch,
  normalizeAnswer,
  squadMetrics,
  squadV2Metrics,
  type SquadGold,
  type SquadPredictions,
  type SquadV2Metrics,
} from './data/squad-metrics.ts'
export { readTagged, tagNames, type TagColumns, type TaggedWords } from './data/conll.ts'
export { TagFeatures, tagComputeMetrics, type TagFeatureOptions } from './data/tag-features.ts'
export {
  entitiesOf,
  entityMetrics,
  type Entity as TaggedEntity,
  type EntityMetrics,
  type EntityOptions,
  type EntityScore,
  type TagScheme,
} from './data/entity-metrics.ts'
export { choiceFeatures, readChoices, type ChoiceExample } from './data/multiple-choice.ts'
export { readTextColumns, sentenceFeatures, type TextColumnOptions, type TextRow, type TextRows } from './data/text-columns.ts'
