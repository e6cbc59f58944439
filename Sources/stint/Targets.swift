// Owns: which objects a command line names: kinds, KIND NAME, KIND/NAME, and how messages name an object back.
// It must not know what is done to them.

import ClusterProto

/// One object, or with no name all objects of a kind.
struct Target: Equatable {
  let kind: Kind
  var name: String?

  /// Reads the words of a command line as kubectl does.
  static func parse(_ words: [String]) throws -> [Target] {
    guard let first = words.first else { return [] }
    if words.contains(where: { $0.contains("/") }) {
      return try words.map { word in
        let parts = word.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
          throw CommandError(
            "error: there is no need to specify a resource type as a separate argument when passing arguments in "
              + "resource/name form (e.g. 'stint get resource/<resource_name>' instead of 'stint get resource "
              + "resource/<resource_name>')")
        }
        return Target(kind: try kind(parts[0]), name: parts[1])
      }
    }
    let kinds = try first == "all" ? KindPresentation.all : first.split(separator: ",").map { try kind(String($0)) }
    if words.count == 1 { return kinds.map { Target(kind: $0) } }
    return kinds.flatMap { kind in words.dropFirst().map { Target(kind: kind, name: $0) } }
  }

  /// The names of one kind, with or without `KIND/` before each.
  static func names(_ words: [String], of kind: Kind) throws -> [String] {
    try words.map { word in
      guard let slash = word.firstIndex(of: "/") else { return word }
      guard Kind(userName: String(word[..<slash])) == kind else {
        throw CommandError("error: \"\(word)\" is not a \(kind.singular)")
      }
      return String(word[word.index(after: slash)...])
    }
  }

  static func kind(_ word: String) throws -> Kind {
    if let kind = Kind(userName: word) { return kind }
    let hint = NearMiss.suggestion(for: word, among: Kind.allCases.flatMap { [$0.plural, $0.singular] })
    throw CommandError(
      "error: the server doesn't have a resource type \"\(word)\"" + (hint.map { "; did you mean \"\($0)\"?" } ?? ""))
  }
}

extension Kind {
  /// `job.batch`, `pod`: how results name the object's kind.
  var qualifiedSingular: String { group.isEmpty ? singular : "\(singular).\(group)" }
}
