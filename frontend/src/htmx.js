// A page's elements speak to it by attributes, its scripts as `htmx`.
export { default } from "htmx.org";
