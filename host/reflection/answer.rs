//! From a question to its answer, which stays below what clients take.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Question;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Answer;
use tonic_reflection::pb::v1::{ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse, ServiceResponse};

use super::index::Index;
use crate::host::generation::Generation;

/// Clients take messages of 4 MiB at the most; a whole answer stays below.
pub(super) const LARGEST_ANSWER_BYTES: usize = 3 << 20;

/// What a generation has to say; `None` where there is no such thing. `sent`
/// are the files that the stream has carried, and will have.
pub(super) fn answer(generation: &Generation, question: Question, sent: &mut HashSet<usize>) -> Option<Answer> {
    let index = generation.index();
    let mut file = |found: Option<usize>| {
        let file_descriptor_proto = closure(index, found?, sent).iter().map(|bytes| bytes.to_vec()).collect();
        Some(Answer::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto }))
    };
    match question {
        Question::FileByFilename(name) => file(index.by_name(&name)),
        Question::FileContainingSymbol(symbol) => file(index.symbols.by_symbol(&symbol)),
        Question::FileContainingExtension(asked) => {
            file(index.symbols.by_extension(&asked.containing_type, asked.extension_number))
        }
        Question::AllExtensionNumbersOfType(base_type_name) => {
            let extension_number = index.symbols.extension_numbers(&base_type_name)?;
            Some(Answer::AllExtensionNumbersResponse(ExtensionNumberResponse { base_type_name, extension_number }))
        }
        Question::ListServices(_) => {
            let names = generation.service_names().into_iter();
            let service = names.map(|name| ServiceResponse { name: name.to_owned() }).collect();
            Some(Answer::ListServicesResponse(ListServiceResponse { service }))
        }
    }
}

/// A file and then what it imports, breadth first, without what `sent` holds
/// already; the file itself always. What would make the answer larger than a
/// client takes stays out, and can be asked for by name; smaller files behind
/// it do not, as grpc-reflection-js asks for one or two at the most.
pub(super) fn closure(index: &Index, root: usize, sent: &mut HashSet<usize>) -> Vec<Bytes> {
    let mut answer = Vec::new();
    let mut room = LARGEST_ANSWER_BYTES;
    let mut seen = HashSet::from([root]);
    let mut queue = VecDeque::from([root]);
    while let Some(at) = queue.pop_front() {
        let file = index.file(at);
        if at == root || (file.bytes.len() <= room && !sent.contains(&at)) {
            room = room.saturating_sub(file.bytes.len());
            sent.insert(at);
            answer.push(file.bytes.clone());
        }
        queue.extend(
            file.imports.iter().filter_map(|import| index.by_name(import)).filter(|import| seen.insert(*import)),
        );
    }
    answer
}
