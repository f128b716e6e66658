"""CSM by Sesame: conversational speech from a backbone, a depth decoder and the codec Mimi."""
