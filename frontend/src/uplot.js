// Small charts, for pages as `uPlot`.
export { default } from "uplot";
