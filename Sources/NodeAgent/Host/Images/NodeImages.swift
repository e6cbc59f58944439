// The images of a node's data directory for a command that runs beside its agent or without one. Waits for disks and
// for skopeo. Knows no agent: what it changes, a running agent notices.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc

/// The images of one data directory.
package struct NodeImages {
  private let store: ImageStore
  private let data: String

  /// `data`: of the agent.
  package init(data: String) {
    self.data = data
    store = ImageStore(directory: NodePaths(data: data).images)
  }

  /// All images, by id.
  package func list() throws(ImageError) -> [ImageRecord] {
    do throws(IOError) {
      guard try isThere() else { return [] }
      return try store.list().map(\.record)
    } catch {
      throw ImageError(error)
    }
  }

  /// Brings in every image of an archive or OCI layout; they have the names that they have there. `name`: of one that
  /// has none.
  package func load(
    _ path: String, name: ImageReference?, _ cancellation: ImageCancellation = ImageCancellation()
  ) throws(ImageError) -> [ImageRecord] {
    do throws(IOError) {
      try Files.makeDirectory(data)
      try refuseForeign()
      try store.make()
    } catch {
      throw ImageError(error)
    }
    return try ImageFetcher(store: store, FetchSettings()).load(path, name: name, cancellation).map(\.record)
  }

  /// Takes a name from an image, and removes the image with the last one; an id or a digest removes it at once. What
  /// was done, in words; nil: there is no such image.
  package func remove(_ text: String) throws(ImageError) -> String? {
    do throws(IOError) {
      guard try isThere() else { return nil }
      try refuseForeign()
      let images = try store.list().map(\.record)
      let reference = try? ImageReference(text)
      let id = ImageStore.hex(text).isEmpty ? "sha256:\(text)" : text
      if let image = images.first(where: { $0.id == id || (text.utf8.count >= 12 && $0.id.hasPrefix(id)) }) {
        return try remove(image)
      }
      guard let name = reference?.text else { return nil }
      if let image = images.first(where: { $0.digests.contains(name) }) { return try remove(image) }
      guard let image = images.first(where: { $0.tags.contains(name) }) else { return nil }
      if image.tags.count == 1 { return try remove(image) }
      try store.removeTag(name)
      return "untagged \(name)"
    } catch {
      throw ImageError(error)
    }
  }

  private func remove(_ image: ImageRecord) throws(IOError) -> String {
    try store.remove(id: image.id)
    return "deleted \(image.tags.first ?? image.digests.first ?? image.id)"
  }

  private func isThere() throws(IOError) -> Bool {
    do throws(IOError) {
      return try Files.status(store.records).isDirectory
    } catch {
      if error.code == ENOENT { return false }
      throw error
    }
  }

  /// Files of another user's agent would be none that it may use, and their marks not those that it needs.
  private func refuseForeign() throws(IOError) {
    let owner = try Files.status(data).userID
    guard owner == geteuid() else {
      throw IOError(
        operation: "images", subject: data,
        message: "it belongs to the user with the number \(owner), whose agent runs on it: run this as that user")
    }
  }
}
