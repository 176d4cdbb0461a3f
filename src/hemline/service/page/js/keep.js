// Keeps the last photos in this browser, and nowhere else, so that links and the back button work.

const MOST = 20;

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("hemline", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("photos", { keyPath: "hash" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function within(mode, act) {
  const base = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = base.transaction("photos", mode);
      const request = act(transaction.objectStore("photos"));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onerror = () => reject(transaction.error);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    base.close();
  }
}

// False where the browser keeps nothing (a private window): the page works, links to photos don't.
export async function keep(photo) {
  try {
    await within("readwrite", (store) => store.put({ hash: photo.hash, blob: photo.blob, at: Date.now() }));
    const all = await within("readonly", (store) => store.getAll());
    const old = all.sort((a, b) => b.at - a.at).slice(MOST);
    if (old.length) {
      await within("readwrite", (store) => old.map((one) => store.delete(one.hash)).at(-1));
    }
    return true;
  } catch {
    return false;
  }
}

export async function kept(hash) {
  try {
    return (await within("readonly", (store) => store.get(hash)))?.blob ?? null;
  } catch {
    return null;
  }
}
