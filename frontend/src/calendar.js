// Month, week and list, for pages as `fullcalendar`.
export { Calendar } from "fullcalendar";
export { default as dayGrid } from "fullcalendar/daygrid";
export { default as timeGrid } from "fullcalendar/timegrid";
export { default as list } from "fullcalendar/list";
export { default as interaction } from "fullcalendar/interaction";
export { default as theme } from "fullcalendar/themes/classic";
