// Owns: `diff`: what `apply` would change, by the coordinator's own word (a dry run) and the person's diff. It must not
// know what an object means.

import ClusterIO
import ClusterProto
import Glibc

/// `stint diff -f`.
enum DiffCommand {
  /// Neither equal nor different: something went wrong.
  private static let trouble: Int32 = 2

  @Sendable static func run(_ context: Context) throws -> Int32 {
    do {
      return try compare(context)
    } catch let error as UsageError {
      throw error
    } catch {
      return max(Stint.report(error, context.console), trouble)
    }
  }

  private static func compare(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let paths = arguments.values("filename")
    guard !paths.isEmpty else { throw arguments.problem("must specify -f") }
    let manifests = Manifests(paths: paths, namespace: context.namespace, insists: arguments.has("namespace"))
    for message in manifests.warnings + manifests.errors { context.console.note(message) }
    guard manifests.errors.isEmpty else { return trouble }
    if manifests.objects.isEmpty { throw CommandError("error: no objects passed to diff") }
    let cluster = try context.cluster()
    let folder = try TemporaryFolder()
    for side in ["LIVE", "MERGED"] { try Files.makeDirectory("\(folder.path)/\(side)") }
    for object in manifests.objects {
      let (live, merged) = try sides(of: object, context, cluster)
      let file = fileName(object)
      if let live { try Files.writeAtomically("\(folder.path)/LIVE/\(file)", Array(live.utf8)) }
      try Files.writeAtomically("\(folder.path)/MERGED/\(file)", Array(merged.utf8))
    }
    let command = context.environment["KUBECTL_EXTERNAL_DIFF"].flatMap { $0.isEmpty ? nil : $0 } ?? "diff -u -N"
    return try Editor.run(command, ["\(folder.path)/LIVE", "\(folder.path)/MERGED"], context.environment)
  }

  /// As kubectl calls them: `batch.v1.Job.default.demo`.
  static func fileName(_ object: ManifestObject) -> String {
    let version = object.kind.apiVersion.replacing("/", with: ".")
    return "\(version).\(object.kind.name).\(object.namespace).\(object.name)".replacing("/", with: "_")
  }

  private static func sides(
    of object: ManifestObject, _ context: Context, _ cluster: Cluster
  ) throws -> (live: String?, merged: String) {
    let live = try cluster.find(object.kind, object.namespace, object.name)
    let merged: JSON
    do {
      merged = try ApplyCommand.merged(object, context, cluster)
    } catch let error as StatusError {
      throw CommandError(error.text(doing: "error when comparing \(object.place)"))
    }
    let shown = masked(live.map { GetCommand.typed($0, object.kind) }, merged)
    return (shown.live.map(text), text(shown.merged))
  }

  /// A Secret's values as kubectl shows them in a diff: none, only where they differ.
  static func masked(_ live: JSON?, _ merged: JSON) -> (live: JSON?, merged: JSON) {
    guard merged["kind"] == "Secret" else { return (live, merged) }
    let (before, after) = (live?["data"]?.objectValue ?? JSONObject(), merged["data"]?.objectValue ?? JSONObject())
    func hidden(_ values: JSONObject, beside other: JSONObject, _ side: String) -> JSON {
      var shown = JSONObject()
      for (name, value) in values {
        shown[name] = other[name] == nil || other[name] == value ? "***" : .string("*** (\(side))")
      }
      return .object(shown)
    }
    var (shownLive, shownMerged) = (live, merged)
    if live?["data"] != nil { shownLive?["data"] = hidden(before, beside: after, "before") }
    if merged["data"] != nil { shownMerged["data"] = hidden(after, beside: before, "after") }
    // Of the manifest: what the server has put into data.
    shownMerged["stringData"] = nil
    return (shownLive, shownMerged)
  }

  /// Without what is not the object's own words.
  static func text(_ object: JSON) -> String {
    var shown = object
    shown[path: ["metadata", "managedFields"]] = nil
    shown[path: ["metadata", "annotations", ThreeWayMerge.annotation]] = nil
    if shown[path: ["metadata", "annotations"]]?.objectValue?.isEmpty == true {
      shown[path: ["metadata", "annotations"]] = nil
    }
    return shown.yaml
  }
}
