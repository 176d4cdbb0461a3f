// Where the service is: a proxy may put it under a sub-path.

// The address of the page, with a slash at its end.
export const base = new URL("../../", import.meta.url).pathname;
