// The images of a node for its agent: which are there (from memory), pulls on threads, removal. Owns the threads and
// the index by name; the caller decides what is pulled, when, how many at once, and what is removed. Used on the loop's
// thread alone; nothing here waits for a disk or a registry after the start.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc

/// How a node gets images.
package struct FetchSettings: Sendable {
  /// The program; nil: on the PATH.
  package var skopeo: String?
  /// Its registries.conf; nil: its own.
  package var registries: String?
  /// How long a pull may get no byte, milliseconds.
  package var patience: Int64 = 300_000
  /// Pulls that work at once; others wait for one of them.
  package var pullThreads = 4

  /// The usual ones.
  package init() {}
}

/// The images of a node.
package final class ImageHost {
  private enum Word: Sendable {
    /// nil here and below: they could not be read.
    case images([StoredImage]?)
    case ended(Int64, Result<ImageRecord, ImageError>, [StoredImage]?)
    case removed(String, ImageError?, [StoredImage]?)
  }

  private typealias PullEnd = (Result<ImageRecord, ImageError>) -> Void

  /// Called on the loop whenever other images are there than before, by whomever.
  package var changed: (() -> Void)?

  private let store: ImageStore
  private let settings: FetchSettings
  private let words: Mailbox<Word>
  private let pulls: WorkerPool
  private let keeping: WorkerThread
  private var images: [StoredImage] = []
  private var index: [String: Int] = [:]
  private var underWay: [Int64: (cancellation: ImageCancellation, done: PullEnd)] = [:]
  private var removals: [(id: String, done: (ImageError?) -> Void)] = []
  private var isRefreshing = false
  /// Something changed since the reading under way began.
  private var isStale = false
  private var watch: Int32 = -1

  /// Reads what is there, at a start. `directory`: DATA/images, made where it is missing.
  package init(directory: String, settings: FetchSettings = FetchSettings()) throws(IOError) {
    store = ImageStore(directory: directory)
    self.settings = settings
    try store.make()
    words = try Mailbox()
    pulls = try WorkerPool(name: "stint-pulls", limit: settings.pullThreads)
    keeping = try WorkerThread(name: "stint-images")
    do throws(IOError) {
      images = try Self.read(store)
    } catch {
      HostLog.error("images: \(error)")
    }
    makeIndex()
  }

  deinit { if watch >= 0 { close(watch) } }

  /// Begins to hand out results on the loop, to notice images that others load or remove, and to clean up what was left
  /// behind.
  package func attach(to loop: EventLoop) throws(IOError) {
    try loop.attach(words) { [weak self] words in for word in words { self?.take(word) } }
    watch = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
    guard watch >= 0 else { throw IOError.last("inotify_init") }
    guard inotify_add_watch(watch, store.records, UInt32(IN_MOVED_TO | IN_DELETE)) >= 0 else {
      throw IOError.last("inotify_add_watch", store.records)
    }
    try loop.add(watch, .readable) { [weak self] _ in self?.drainWatch() }
    keeping.post { [store, words] in
      do throws(IOError) {
        try store.sweep()
      } catch {
        HostLog.error("images: \(error)")
      }
      words.post(.images(try? Self.read(store)))
    }
  }

  // MARK: - What is there

  /// The image that a reference leads to; nil: it is not there. From memory. A reference with a digest is looked up by
  /// it.
  package func lookUp(_ reference: ImageReference) -> ImageRecord? {
    guard let position = index[reference.text] else {
      // Others may have brought it in: `changed` tells.
      refresh()
      return nil
    }
    return images[position].record
  }

  /// All images, by id. From memory.
  package func list() -> [ImageRecord] { images.map(\.record) }

  /// The directories that an image's root is stacked of, the lowest first, absolute; nil: it is not there. A layer on
  /// which nothing below shows is the lowest.
  package func layerDirectories(of id: String) -> [String]? {
    guard let image = images.first(where: { $0.record.id == id }) else { return nil }
    return image.layers.map(store.path(ofLayer:))
  }

  /// Reads anew what is there, on a thread; `changed` tells of a difference.
  package func refresh() {
    isStale = isRefreshing
    guard !isRefreshing else { return }
    isRefreshing = true
    keeping.post { [store, words] in words.post(.images(try? Self.read(store))) }
  }

  // MARK: - Pulls and removals

  /// Fetches what a reference leads to now, on a thread. `key`: the caller's number for it, of which no other is under
  /// way. `credentials`: the text of an auth.json or of a dockerconfigjson; nil: those of the agent's own user. `done`:
  /// called once on the loop, also after `cancel`.
  package func pull(
    key: Int64, _ reference: ImageReference, credentials: [UInt8]?,
    _ done: @escaping (Result<ImageRecord, ImageError>) -> Void
  ) {
    let cancellation = ImageCancellation()
    underWay[key] = (cancellation, done)
    let fetcher = ImageFetcher(store: store, settings)
    pulls.post(key: key) { [store, words] in
      let result: Result<ImageRecord, ImageError>
      do throws(ImageError) {
        if cancellation.isCancelled { throw ImageError("canceled", isCancelled: true) }
        result = .success(try fetcher.pull(reference, credentials: credentials, cancellation).record)
      } catch {
        result = .failure(error)
      }
      words.post(.ended(key, result, try? Self.read(store)))
    }
  }

  /// Ends a pull; its `done` follows with an error that says so, unless it was done already.
  package func cancel(key: Int64) { underWay[key]?.cancellation.cancel() }

  /// Removes an image with its names, and its layers that no other has, on a thread. One that a container runs on
  /// stays, with an error; one that is not there is fine.
  package func remove(_ id: String, _ done: @escaping (ImageError?) -> Void) {
    removals.append((id, done))
    keeping.post { [store, words] in
      var failure: ImageError?
      do throws(IOError) {
        try store.remove(id: id)
      } catch {
        failure = ImageError(error)
      }
      words.post(.removed(id, failure, try? Self.read(store)))
    }
  }

  /// Ends what is under way; the next start cleans up.
  package func stop() {
    for (_, pull) in underWay.sorted(by: { $0.key < $1.key }) { pull.cancellation.cancel() }
    _ = pulls.finish(milliseconds: 5_000)
  }

  // MARK: - Words of the threads

  private func take(_ word: Word) {
    switch word {
    case .images(let found):
      isRefreshing = false
      replace(found)
      if isStale { refresh() }
    case .ended(let key, let result, let found):
      replace(found)
      underWay.removeValue(forKey: key)?.done(result)
    case .removed(let id, let failure, let found):
      replace(found)
      guard let position = removals.firstIndex(where: { $0.id == id }) else { return }
      removals.remove(at: position).done(failure)
    }
  }

  private func replace(_ found: [StoredImage]?) {
    guard let found, found != images else { return }
    images = found
    makeIndex()
    changed?()
  }

  private func makeIndex() {
    index = [:]
    for (position, image) in images.enumerated() {
      for name in image.record.tags + image.record.digests { index[name] = position }
    }
  }

  private func drainWatch() {
    var room = [UInt8](repeating: 0, count: 4096)
    while Glibc.read(watch, &room, room.count) > 0 {}
    refresh()
  }

  private static func read(_ store: ImageStore) throws(IOError) -> [StoredImage] {
    try store.list { path, why in HostLog.error("images: \(path) is no image of this node: \(why)") }
  }
}

extension ImageFetcher {
  /// As a node's settings have it.
  init(store: ImageStore, _ settings: FetchSettings) {
    self.init(
      store: store,
      skopeo: Skopeo(program: settings.skopeo, registries: settings.registries, patience: settings.patience))
  }
}
