// Owns: `edit`: an object as text in the person's editor, until it is taken or given up. It must not know what the
// fields mean.

import ClusterIO
import ClusterProto
import Coordinator
import Glibc

/// The text that is edited, and what it comes to.
enum EditText {
  static let header = """
    # Please edit the object below. Lines beginning with a '#' will be ignored,
    # and an empty file will abort the edit. If an error occurs while saving this file will be
    # reopened with the relevant failures.
    #

    """

  /// The object with the header, and why the last text was not taken.
  static func text(_ yaml: String, errors: String = "") -> String {
    var text = header
    if !errors.isEmpty {
      for line in errors.split(whereSeparator: \.isNewline) { text += "# \(TerminalText.harmless(String(line)))\n" }
      text += "#\n"
    }
    return text + yaml
  }

  /// Without the lines that are for the person.
  static func body(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.hasPrefix("#") }.joined(separator: "\n")
  }

  /// The merge patch from the object as it was shown to the text; nil: they are equal. Errors say why it is no object.
  static func patch(from shown: JSON, to text: String) throws(CommandError) -> JSON? {
    var documents: [JSON] = []
    do { documents = try YAML.documents(Array(body(text).utf8)) } catch { throw CommandError("\(error)") }
    guard documents.count == 1, documents[0].objectValue != nil else {
      throw CommandError("the text has to be one object")
    }
    for field in [["apiVersion"], ["kind"], ["metadata", "name"], ["metadata", "namespace"]]
    where documents[0][path: field] != shown[path: field] {
      throw CommandError("\(field.joined(separator: ".")) may not change")
    }
    return ThreeWayMerge.difference(from: shown, to: documents[0])
  }
}

/// `stint edit`.
struct EditCommand {
  private let context: Context
  private let cluster: Cluster
  private let kind: Kind
  private let name: String

  @Sendable static func run(_ context: Context) throws -> Int32 {
    guard let target = try Target.parse(context.arguments.words).first, let name = target.name,
      context.arguments.words.count == (context.arguments.words[0].contains("/") ? 1 : 2)
    else { throw context.arguments.problem("name one object") }
    return try EditCommand(context: context, cluster: try context.cluster(), kind: target.kind, name: name).run()
  }

  private var editor: String {
    for name in ["KUBE_EDITOR", "EDITOR"] {
      if let editor = context.environment[name], !editor.isEmpty { return editor }
    }
    return "vi"
  }

  private func run() throws -> Int32 {
    let namespace = context.objectNamespace(kind)
    var shown = GetCommand.typed(try cluster.get(kind, namespace, name), kind)
    shown[path: ["metadata", "managedFields"]] = nil
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/\(kind.singular)-\(name).yaml"
    var text = EditText.text(shown.yaml)
    var refused: String?
    while true {
      try Files.writeAtomically(path, Array(text.utf8))
      let status = try Editor.run(editor, [path], context.environment)
      guard status == 0 else {
        throw CommandError("error: there was a problem with the editor \"\(editor)\" (it ended with \(status))")
      }
      let edited = String(decoding: try Files.read(path, limit: 16 << 20), as: UTF8.self)
      let body = EditText.body(edited)
      if body.allSatisfy(\.isWhitespace) {
        context.console.note("Edit cancelled, saved file was empty.")
        return 0
      }
      if body == refused {
        folder.keeps = true
        context.console.note("A copy of your changes has been stored to \"\(path)\"")
        throw CommandError("error: Edit cancelled, no valid changes were saved.")
      }
      do {
        guard let patch = try EditText.patch(from: shown, to: edited) else {
          context.console.note("Edit cancelled, no changes made.")
          return 0
        }
        try send(patch, namespace)
        context.console.line("\(kind.qualifiedSingular)/\(name) edited")
        return 0
      } catch let error as CommandError {
        text = EditText.text(body, errors: error.message)
      } catch let error as StatusError {
        if error.isNotFound { throw error }
        text = EditText.text(body, errors: error.text())
      }
      refused = body
    }
  }

  private func send(_ patch: JSON, _ namespace: String) throws {
    var request = APIRequest(verb: .patch, kind: kind, namespace: namespace, name: name, body: patch)
    request.options.patchKind = .merge
    request.options.fieldManager = "kubectl-edit"
    request.options.fieldValidation = "Strict"
    _ = try cluster.send(request)
  }
}

/// A folder of one's own that goes with the command.
final class TemporaryFolder {
  let path: String
  /// Left for the person.
  var keeps = false

  init() throws(IOError) {
    path = "/tmp/stint-\(Hexadecimal.text(try Crypto.randomBytes(8)))"
    // Nobody else reads what is in it: objects may hold secrets.
    guard mkdir(path, 0o700) == 0 else { throw IOError.last("mkdir", path) }
  }

  deinit { if !keeps { try? Files.removeTree(path) } }
}

/// The person's programs, with this process' terminal.
enum Editor {
  /// Its exit status. A shell reads `command`, as kubectl's does: an editor may have flags.
  static func run(_ command: String, _ paths: [String], _ environment: [String: String]) throws -> Int32 {
    var options = Child.Options(
      path: "/bin/sh", arguments: ["sh", "-c", "\(command) \"$@\"", "sh"] + paths,
      environment: environment.map { "\($0.key)=\($0.value)" }.sorted())
    options.descriptors = [0: 0, 1: 1, 2: 2]
    options.newSession = false
    let child = try Child(options)
    while true {
      if let end = child.reap() { return end.shellCode }
      var entry = pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0)
      poll(&entry, 1, -1)
    }
  }
}
