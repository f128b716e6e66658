"""The engine `csm`: CSM by Sesame, a conversational speech model: backbone, depth decoder and the codec Mimi."""
