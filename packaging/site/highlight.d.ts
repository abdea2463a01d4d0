/** The part of highlight.js that is used: its own types would add those of the browser to every file that is checked. */
declare const highlight: {
  highlight(text: string, options: { readonly language: string }): { readonly value: string };
};
export default highlight;
